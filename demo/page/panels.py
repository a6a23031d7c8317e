"""What stands around an answer, as HTML: chances, progress, next steps, what the file says, the report."""

from html import escape

from demo import texts
from facecheck.error_rates import ChanceOfError
from facecheck.explain import wording
from facecheck.explain.wording import say
from facecheck.provenance import ABSENCE, CAUTION, Finding
from facecheck.result import Prediction, Verdict

LONGEST_DETAIL = 500


def odds(chance: ChanceOfError, whose: str = "") -> str:
    """How often such an answer is wrong: a hundred dots of which so many are filled, and the sentence.

    Args:
        whose: the face that it is about, of several.
    """
    sentence, measured = wording.chance_of_error(chance)
    wrong = round(100 * chance.chance)
    dots = "".join(
        f'<path d="M{6 * (place % 20) + 3} {6 * (place // 20) + 3}h0" class="rc-{kind}"/>'
        for place in range(100)
        for kind in ["wrong" if place < wrong else "right"]
    )
    return (
        f'<div class="rc-chance"><svg viewBox="0 0 120 30" aria-hidden="true">{dots}</svg>'
        f"<div><b>{escape(f'{whose} {sentence}'.strip())}</b><small>{escape(measured)}</small></div></div>"
    )


def message(headline: str, sentence: str, kind: str = "notice") -> str:
    """A state that is no verdict: nothing chosen, busy, unreadable."""
    return (
        f'<section class="rc-verdict rc-{kind}" data-state="{kind}"><h2>{escape(say(headline))}</h2>'
        f"<p>{escape(say(sentence))}</p></section>"
    )


def progress(step: str, seen_s: float, length_s: float, left_s: float | None) -> str:
    """What is being done now; of a clip also how far it is, and how long it may still take."""
    steps = "".join(
        f'<li aria-current="{"step" if name == step else "false"}">{say(words)}</li>'
        for name, words in texts.STEPS.items()
    )
    film = ""
    if length_s:
        name = say("{seen} of {length} seconds of film", seen=f"{seen_s:.0f}", length=f"{length_s:.0f}")
        left = "" if left_s is None else " · " + say("about {n} s left", n=max(round(left_s), 1))
        bar = f'<progress max="{length_s:.1f}" value="{seen_s:.1f}" aria-label="{escape(name)}"></progress>'
        film = f"{bar}<p>{name}{left}</p>"
    return f'<section class="rc-progress" data-state="loading"><ol>{steps}</ol>{film}</section>'


def next_steps(prediction: Prediction) -> str:
    """What a visitor can do after this verdict."""
    each = "".join(
        f'<a href="{address}" target="_blank" rel="noopener noreferrer">{name}</a>' for name, address in texts.SEARCHES
    )
    links = f'<p class="rc-links">{each}</p>'
    steps = "".join(
        f"<li><b>{escape(say(step[0]))}</b> {escape(say(step[1]))}{links if step == texts.SEARCH else ''}</li>"
        for step in texts.NEXT[prediction.verdict or Verdict.NO_FACE]
    )
    signs = "".join(f"<li>{escape(say(sign))}</li>" for sign in texts.STRANGERS)
    return (
        f'<section class="rc-panel rc-next"><h3>{say("What you can do next")}</h3><ol>{steps}</ol>'
        f"<details><summary>{say(texts.STRANGER)}</summary><ul>{signs}</ul></details></section>"
    )


def report_panel(holds: str = texts.REPORT_HOLDS) -> str:
    """What the case report holds, and the buttons that ask for it."""
    return (
        f'<section class="rc-panel rc-take"><h3>{say(texts.REPORT)}</h3><p>{escape(say(holds))}</p>'
        f'<button type="button" data-report="save">{say(texts.REPORT_SAVE)}</button>'
        f'<button type="button" data-report="print">{say(texts.REPORT_PRINT)}</button>'
        '<p class="rc-foot" role="status"></p></section>'
    )


def contradictions(prediction: Prediction) -> str:
    """Where the pixels and the file disagree, or the file with itself: that stands with the verdict."""
    provenance = prediction.provenance
    said = (prediction.contradiction, provenance.conflict) if provenance else ()
    return "".join(f'<div class="rc-contradiction">{escape(say(sentence))}</div>' for sentence in said if sentence)


def file_panel(prediction: Prediction) -> str:
    """The panel as HTML; empty where there was no file. Every word of a file is a stranger's, and escaped."""
    provenance = prediction.provenance
    if provenance is None:
        return ""
    findings = "".join(map(_finding, provenance.findings)) or f"<li>{escape(say(ABSENCE))}</li>"
    problems = "".join(f"<li>{escape(say(problem))}</li>" for problem in provenance.problems)
    return (
        f'<section class="rc-panel rc-file"><h3>{say(texts.FILE_SAYS)}</h3><ul>{findings}{problems}</ul>'
        f'<p class="rc-foot">{escape(say(CAUTION))}</p></section>'
    )


def _finding(finding: Finding) -> str:
    details = "".join(
        f"<dt>{escape(say(name.replace('_', ' ')))}</dt><dd>{escape(wording.told(value)[:LONGEST_DETAIL])}</dd>"
        for name, value in finding.details.items()
    )
    more = f"<details><summary>{say(texts.DETAILS)}</summary><dl>{details}</dl></details>" if details else ""
    strength = say(wording.STRENGTHS[finding.strength])
    return f'<li><span class="rc-tag">{escape(strength)}</span> {escape(say(finding.says))}{more}</li>'


def footnote(prediction: Prediction, *more: str) -> str:
    """How long it took, and which model answered."""
    timing, model, size = prediction.timing_ms, prediction.model, prediction.size
    seconds = (timing.decode + timing.detect + timing.classify) / 1000
    facts = [say("Judged in {seconds} s", seconds=f"{seconds:.2f}"), *more]
    if size:
        facts.append(say("{n} pixels", n=f"{size[0]} x {size[1]}"))
    if model:
        facts.append(f"{model.name} {model.version}")
    return f'<p class="rc-foot">{escape(" · ".join(facts))}</p>'
