"""The panel "What the file says": what facecheck found in the file's metadata, kept apart from the verdict."""

from html import escape

from demo.page import texts
from facecheck.provenance.findings import ABSENCE, CAUTION, Finding
from facecheck.result import Prediction

LONGEST_DETAIL = 500


def panel(prediction: Prediction) -> str:
    """The panel as HTML; empty where there was no file. Every word of a file is a stranger's, and escaped."""
    told = prediction.provenance
    if told is None:
        return ""
    findings = "".join(map(_finding, told.findings)) or f"<li>{escape(ABSENCE)}</li>"
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in told.problems)
    warnings = "".join(
        f'<p class="rc-contradiction">{escape(sentence)}</p>'
        for sentence in (prediction.contradiction, told.conflict)
        if sentence
    )
    return (
        f'<section class="rc-file"><h3>{texts.FILE_SAYS}</h3>{warnings}<ul>{findings}{problems}</ul>'
        f'<p class="rc-foot">{escape(CAUTION)}</p></section>'
    )


def _finding(finding: Finding) -> str:
    strength = str(finding.strength)
    details = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value[:LONGEST_DETAIL])}</dd>" for name, value in finding.details.items()
    )
    folded = f"<details><summary>{texts.DETAILS}</summary><dl>{details}</dl></details>" if details else ""
    return f'<li><span class="rc-tag">{escape(texts.STRENGTHS[strength])}</span> {escape(finding.says)}{folded}</li>'
