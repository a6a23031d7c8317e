"""Faces in pictures, by MTCNN: `detector.FaceDetector` finds them, the other files are its parts."""
