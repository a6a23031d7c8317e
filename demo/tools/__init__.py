"""Commands around the page: its screenshots, and the files of a Space."""
