"""C2PA Content Credentials, signed here with certificates made here."""

import datetime
import io
import sys

import pytest
from PIL import Image

import facecheck
from facecheck.provenance.credentials import NOT_INSTALLED

c2pa = pytest.importorskip("c2pa", reason="needs c2pa-python: pip install 'facecheck[provenance]'")
x509 = pytest.importorskip("cryptography.x509", reason="needs cryptography, which makes the certificates")

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402  # After the skips.
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MIME_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
    "AVIF": "image/avif",
}


def certificate(name: str, issuer=None, issuer_key=None):
    """A root where no issuer is given, else a certificate that may sign."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([
        x509.NameAttribute(x509.NameOID.COMMON_NAME, name), x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name)
    ])  # fmt: skip
    root, signing_key = issuer is None, issuer_key or key
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(digital_signature=not root, key_cert_sign=root, crl_sign=root, **usage), critical=True
        )
    )
    if not root:
        purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(signing_key, hashes.SHA256()), key


def pem(issued) -> bytes:
    return issued.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority():
    return certificate("Test Authority")


@pytest.fixture(scope="module")
def sign(authority):
    root, root_key = authority
    leaf, leaf_key = certificate("Imaginary Pictures Ltd", root, root_key)
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", pem(leaf) + pem(root), private, None))

    def signed(kind: str, source_type: str = "trainedAlgorithmicMedia") -> bytes:
        plain, target = io.BytesIO(), io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(plain, kind)
        action = {
            "action": "c2pa.created",
            "softwareAgent": {"name": "Imaginator 3"},
            "digitalSourceType": IPTC + source_type,
        }
        manifest = {
            "claim_generator_info": [{"name": "facecheck tests", "version": "1"}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
        c2pa.Builder.from_json(manifest).sign(signer, MIME_TYPES[kind], plain, target)
        return target.getvalue()

    return signed


@pytest.mark.parametrize("kind", MIME_TYPES)
def test_intact_credentials_are_signed_findings(sign, authority, kind):
    data = sign(kind)
    (finding,) = facecheck.provenance(data).findings
    assert (finding.source, finding.strength, finding.claim) == ("c2pa", "signed", "generated")
    assert finding.details["signer"] == "Imaginary Pictures Ltd"
    assert "Imaginator 3" in finding.details["software"]
    assert finding.details["state"] == "valid"
    assert "anybody can make one" in finding.says
    (trusted,) = facecheck.provenance(data, trust_anchors=pem(authority[0]).decode()).findings
    assert trusted.details["state"] == "trusted"
    assert "list of authorities" in trusted.says


def test_a_signed_photograph_contradicts_a_verdict_of_fake_and_only_says_so(sign):
    answer = facecheck.provenance(sign("JPEG", "digitalCapture"))
    assert answer.claims == ("photographed",)
    assert "c2pa data (signed)" in answer.contradiction("fake")


def test_a_file_changed_after_signing(sign):
    data = bytearray(sign("JPEG"))
    data[-30] ^= 1
    (finding,) = facecheck.provenance(bytes(data)).findings
    assert (finding.strength, finding.claim) == ("hint", "nothing")
    assert finding.details["state"] == "invalid"
    assert "mismatch" in finding.details["problem"]
    assert "prove nothing" in finding.says


def test_a_broken_signature_and_broken_credentials(sign):
    whole = sign("PNG")
    start = whole.index(b"caBX")
    length = int.from_bytes(whole[start - 4 : start])
    for place in range(start + 50, start + length, max(length // 40, 1)):
        if not whole[place]:
            continue  # Of the padding, which nothing protects.
        data = bytearray(whole)
        data[place] ^= 0xFF
        finding = facecheck.provenance(bytes(data)).findings[0]
        assert (finding.source, finding.strength, finding.claim) == ("c2pa", "hint", "nothing"), place


def test_credentials_copied_into_another_picture(sign):
    whole, plain = sign("PNG"), io.BytesIO()
    start = whole.index(b"caBX") - 4
    stolen = whole[start : start + 12 + int.from_bytes(whole[start : start + 4])]
    Image.new("RGB", (32, 32), "red").save(plain, "PNG")
    other = plain.getvalue()
    (finding,) = facecheck.provenance(other[:33] + stolen + other[33:]).findings
    assert finding.claim == "nothing"
    assert "copied" in finding.says


def test_without_the_extra_they_are_present_but_not_checked(sign, monkeypatch):
    data = sign("JPEG")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    (finding,) = facecheck.provenance(data).findings
    assert (finding.strength, finding.claim, finding.says) == ("hint", "nothing", NOT_INSTALLED)


def test_credentials_do_not_change_the_verdict_on_the_pixels(checker, sign, cat):
    assert checker.predict(sign("JPEG")).verdict == "no_face"
    assert checker.predict(sign("JPEG")).provenance.claims == ("generated",)
