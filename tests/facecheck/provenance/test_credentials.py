"""C2PA Content Credentials, signed here with certificates made here."""

import datetime
import io
import json
import sys
import time
from unittest.mock import MagicMock

import pytest
from PIL import Image

import facecheck
from facecheck.provenance.credentials import NOT_INSTALLED, _details, read_credentials

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


def certificate(name: str, issuer=None, issuer_key=None, seconds: int = 86_400):
    """A root where no issuer is given, else a certificate that may sign; valid for so many seconds."""
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
        .not_valid_after(now + datetime.timedelta(seconds=seconds))
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


def signer_of(authority, seconds: int = 86_400):
    root, root_key = authority
    leaf, leaf_key = certificate("Imaginary Pictures Ltd", root, root_key, seconds)
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", pem(leaf) + pem(root), private, None))


def saved(kind: str) -> io.BytesIO:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(stream, kind)
    return stream


def sign_with(signer, actions, assertions=(), ingredients=(), kind: str = "JPEG") -> bytes:
    """A picture with a manifest of these actions; `ingredients`: pairs of a relationship and a picture."""
    target = io.BytesIO()
    manifest = {
        "claim_generator_info": [{"name": "facecheck tests", "version": "1"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}, *assertions],
    }
    builder = c2pa.Builder.from_json(manifest)
    for relation, data in ingredients:
        builder.add_ingredient(
            {"title": "sky.jpg", "relationship": relation, "label": "sky"}, "image/jpeg", io.BytesIO(data)
        )
    builder.sign(signer, MIME_TYPES[kind], saved(kind), target)
    return target.getvalue()


def action(name: str = "c2pa.created", source_type: str = "", **more: object) -> dict[str, object]:
    return {"action": name} | ({"digitalSourceType": IPTC + source_type} if source_type else {}) | more


@pytest.fixture(scope="module")
def signer(authority):
    return signer_of(authority)


@pytest.fixture(scope="module")
def sign(signer):
    def signed(kind: str, source_type: str = "trainedAlgorithmicMedia") -> bytes:
        created = action(source_type=source_type, softwareAgent={"name": "Imaginator 3"})
        return sign_with(signer, [created], kind=kind)

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


WITH_SKY = {"ingredientIds": ["sky"]}
OPENED = action("c2pa.opened", parameters=WITH_SKY)
CAPTURED, GENERATED = action(source_type="digitalCapture"), action(source_type="trainedAlgorithmicMedia")
MIXED = action("c2pa.edited", "compositeWithTrainedAlgorithmicMedia", softwareAgent={"name": "Generative Edit"})


def test_the_strongest_of_all_actions_decides_and_all_are_told(signer):
    (finding,) = facecheck.provenance(sign_with(signer, [CAPTURED, MIXED])).findings
    assert (finding.strength, finding.claim) == ("signed", "partly_generated")
    assert "captured by a camera, then edited or composed with generated parts (Generative Edit)" in finding.says
    assert finding.details["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia"


@pytest.mark.parametrize(
    ("edit", "claim"),
    [
        (action("c2pa.edited", "trainedAlgorithmicMedia"), "partly_generated"),
        (
            action("c2pa.edited", parameters={"com.adobe.digitalSourceType": IPTC + "compositeSynthetic"}),
            "partly_generated",
        ),
        (action("c2pa.edited", parameters={"com.adobe.type": "Generative Fill"}), "partly_generated"),
        (action("c2pa.edited", softwareAgent={"name": "Adobe Firefly"}), "partly_generated"),
        (action("org.example.ai_inference"), "partly_generated"),
        (action("c2pa.edited", "humanEdits"), "edited"),
        (action("c2pa.cropped"), "photographed"),
    ],
)
def test_an_edit_after_a_capture(signer, edit, claim):
    found = facecheck.provenance(sign_with(signer, [CAPTURED, edit]))
    assert found.findings[0].details["state"] == "valid"
    assert found.claims == (claim,)
    assert "captured by a camera" in found.sentences[0]


@pytest.mark.parametrize(
    ("relation", "inner", "outer", "claim"),
    [
        ("componentOf", GENERATED, [CAPTURED], "partly_generated"),
        (
            "componentOf",
            CAPTURED,
            [CAPTURED, action("c2pa.placed", "trainedAlgorithmicMedia", parameters=WITH_SKY)],
            "partly_generated",
        ),
        ("parentOf", GENERATED, [OPENED, action("c2pa.cropped")], "generated"),
        ("parentOf", CAPTURED, [OPENED, action("c2pa.cropped")], "photographed"),
        ("parentOf", CAPTURED, [OPENED, MIXED], "partly_generated"),
        ("parentOf", CAPTURED, [action("c2pa.opened", "trainedAlgorithmicMedia", parameters=WITH_SKY)], "generated"),
        ("componentOf", CAPTURED, [action(source_type="digitalCreation")], "edited"),
        ("inputTo", CAPTURED, [GENERATED], "generated"),
        ("inputTo", GENERATED, [CAPTURED], "photographed"),
    ],
)
def test_ingredients_speak_for_the_whole_or_for_their_part(signer, relation, inner, outer, claim):
    data = sign_with(signer, outer, ingredients=[(relation, sign_with(signer, [inner]))])
    (finding,) = facecheck.provenance(data).findings
    assert (finding.details["state"], finding.claim) == ("valid", claim)
    is_of_the_part = relation == "componentOf" and inner == GENERATED
    assert finding.details.get("generated_part") == ("sky.jpg" if is_of_the_part else None)


def test_a_chain_of_three(signer):
    first = sign_with(signer, [GENERATED])
    second = sign_with(signer, [OPENED], ingredients=[("parentOf", first)])
    third = sign_with(signer, [OPENED], ingredients=[("parentOf", second)])
    assert facecheck.provenance(third).claims == ("generated",)


def test_assertions_may_have_a_source_type_and_rights_are_no_statement(signer):
    made = {"label": "org.example.made", "data": {"inner": [{"digitalSourceType": IPTC + "trainedAlgorithmicMedia"}]}}
    rights = {"label": "cawg.training-mining", "data": {"entries": {"cawg.ai_inference": {"use": "notAllowed"}}}}
    assert facecheck.provenance(sign_with(signer, [CAPTURED], [made])).claims == ("generated",)
    assert facecheck.provenance(sign_with(signer, [CAPTURED], [rights])).claims == ("photographed",)


def test_an_expired_certificate_is_not_told_as_tampering(authority):
    data = sign_with(signer_of(authority, seconds=1), [GENERATED])
    time.sleep(2.5)  # Certificates count whole seconds.
    (finding,) = facecheck.provenance(data).findings
    assert (finding.strength, finding.claim) == ("declared", "generated")
    assert "certificate has expired" in finding.says
    assert "changed" not in finding.says.replace("unchanged", "")
    assert "signingCredential.expired" in finding.details["problem"]


def test_a_signer_who_is_not_on_the_list(signer):
    data, other = sign_with(signer, [GENERATED]), pem(certificate("Other Authority")[0]).decode()
    assert "not on the list of authorities" in facecheck.provenance(data, trust_anchors=other).sentences[0]


@pytest.mark.parametrize(("place", "words"), [(b"trainedAlgorithmicMedia", "they themselves were changed")])
def test_a_changed_manifest_is_told_apart_from_changed_pixels(signer, place, words):
    data = bytearray(sign_with(signer, [GENERATED]))
    data[data.index(place)] ^= 1
    assert words in facecheck.provenance(bytes(data)).sentences[0]


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["signingCredential.untrusted", "assertion.dataHash.mismatch"], "picture was changed after signing"),
        (["assertion.dataHash.mismatch", "signingCredential.expired"], "picture was changed after signing"),
        (["claimSignature.mismatch"], "they themselves were changed"),
        (["assertion.missing"], "missing or damaged"),
        (["signingCredential.ocsp.revoked"], "authority revoked"),
        (["signingCredential.invalid"], "not one for signing"),
        (["something.new"], "do not hold (something.new)"),
        (["signingCredential.untrusted", "signingCredential.expired", "timeStamp.mismatch"], "has expired"),
    ],
)
def test_each_failure_has_its_own_sentence(monkeypatch, codes, words):
    store = {"active_manifest": "a", "manifests": {"a": {"signature_info": {}}}}
    reader = MagicMock()
    reader.__enter__.return_value = reader
    reader.get_validation_state.return_value = "Invalid"
    reader.get_validation_results.return_value = {"activeManifest": {"failure": [{"code": code} for code in codes]}}
    reader.json.return_value = json.dumps(store)
    monkeypatch.setattr(c2pa, "Reader", lambda *_, **__: reader)
    finding = read_credentials(b"", "JPEG")
    assert words in finding.says
    assert ("changed after" in finding.says) == any("mismatch" in code for code in codes if "timeStamp" not in code)


def test_redactions_are_told():
    store = {"signature_info": {}, "redactions": ["self#jumbf=x"], "assertions": []}
    assert _details(store)["redacted"] == "self#jumbf=x"


@pytest.mark.parametrize("kind", ["heic", "jxl"])
def test_credentials_of_what_phones_take(signer, kind):
    from tests.facecheck.test_decoding import HEIC

    target, plain = io.BytesIO(), HEIC
    if kind == "jxl":
        pytest.importorskip("pillow_jxl", reason="pip install 'facecheck[formats]'")
        stream = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(stream, "JXL", use_container=True)
        plain = stream.getvalue()
    manifest = {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [GENERATED]}}]}
    c2pa.Builder.from_json(manifest).sign(signer, f"image/{kind}", io.BytesIO(plain), target)
    finding = facecheck.provenance(target.getvalue()).findings[0]
    assert (finding.source, finding.strength, finding.claim) == ("c2pa", "signed", "generated")
