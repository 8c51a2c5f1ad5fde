"""The page of ``retrieval search --html``: what each query found, with thumbnails, in one file."""

import base64
import html
from pathlib import Path

from retrieval.deployment.gallery import Gallery
from retrieval.deployment.search import Hits
from retrieval.files import write_text
from retrieval.runs.item_facts import Fact
from retrieval.runs.thumbnails import encode_thumbnail

STYLE = """
:root { color-scheme: light dark; --ink: #1c1f23; --soft: #5b626b; --line: #dfe3e8;
  --page: #ffffff; --card: #f6f7f9; --mark: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #a3abb5; --line: #353b43;
  --page: #15181c; --card: #1e2228; --mark: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 24px; background: var(--page);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 0; word-break: break-word; }
p { color: var(--soft); margin: 0 0 8px; } .warning { color: #b3261e; font-weight: 600; }
@media (prefers-color-scheme: dark) { .warning { color: #f2b8b5; } }
section { border-top: 1px solid var(--line); margin-top: 24px; padding-top: 16px; }
.query { display: flex; gap: 16px; align-items: center; margin-bottom: 16px; }
.query .picture { width: 128px; height: 128px; border: 2px solid var(--mark); }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); }
li { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px;
  min-width: 0; }
.picture { border-radius: 6px; background: var(--line); display: flex; align-items: center;
  justify-content: center; overflow: hidden; color: var(--soft); font-size: 13px; flex: none; }
.picture img { max-width: 100%; max-height: 100%; }
li .picture { height: 140px; margin-bottom: 8px; }
.head { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }
.head b { color: var(--mark); }
.label { font-weight: 600; overflow-wrap: anywhere; }
dl { margin: 6px 0 0; display: grid; grid-template-columns: auto 1fr; gap: 1px 8px;
  font-size: 13px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; text-align: right; }
a { color: var(--mark); }
"""


def write_search_page(hits: Hits, path: Path | str) -> None:
    """Write the page.

    Args:
        hits: What was found.
        path: The file, which is replaced.
    """
    write_text(Path(path), search_page(hits))


def search_page(hits: Hits) -> str:
    """Return the page, which needs no other file and no network.

    Args:
        hits: What was found.

    Returns:
        HTML, light or dark as the reader's system is.
    """
    warnings = "".join(f'<p class="warning">{html.escape(line)}</p>' for line in hits.warnings)
    note = f"<p>{html.escape(hits.gallery.note)}</p>" if hits.gallery.note else ""
    count = len(hits.queries)
    kinds = {image is None for image in hits.queries.images}
    kind = "queries" if len(kinds) > 1 else "texts" if True in kinds else "photos"
    title = f"Search by {count} {kind if count > 1 else kind.removesuffix('s')}"
    body = "".join(_query(hits, place) for place in range(count))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{html.escape(str(hits.gallery.path))}: {html.escape(hits.how)}</p>"
        f"{note}{warnings}{body}"
        "</body></html>\n"
    )


def _query(hits: Hits, place: int) -> str:
    name, similarities = hits.queries.names[place], hits.similarities[place].tolist()
    found = zip(hits.found(place).tolist(), similarities, strict=False)
    cards = [_card(hits.gallery, *each, rank) for rank, each in enumerate(found, 1)]
    image = hits.queries.images[place]
    picture = "" if image is None else _picture(image, name)
    shown = f"“{name}”" if image is None else name
    return (
        f'<section><div class="query">{picture}'
        f"<h2>{html.escape(shown)}</h2></div><ol>{''.join(cards)}</ol></section>"
    )


def _card(gallery: Gallery, row: int, similarity: float, rank: int) -> str:
    known = {each.name: each for each in gallery.facts(row)}
    label, path = known.pop("label", None), known.get("path")
    rows = "".join(
        f"<dt>{html.escape(each.name)}</dt><dd>{_value(each)}</dd>" for each in known.values()
    )
    title = "" if label is None else f'<div class="label">{html.escape(label.text)}</div>'
    words = next((each.text for each in (label, path) if each is not None), "None")
    return (
        f"<li>{_picture(gallery.image(row), words)}"
        f'<div class="head"><b>{rank}</b><span>{similarity:.4f}</span></div>{title}'
        f"<dl>{rows}</dl></li>"
    )


def _value(known: Fact) -> str:
    shown = html.escape(known.text)
    if not known.url:
        return shown
    address = html.escape(known.url)
    return f'<a href="{address}" title="{address}" rel="noreferrer">{shown}</a>'


def _picture(image: Path | None, words: str) -> str:
    encoded = b"" if image is None else encode_thumbnail(image)
    if not encoded:
        return '<div class="picture">no picture</div>'
    data = base64.b64encode(encoded).decode()
    alt = html.escape(words, quote=True)
    return f'<div class="picture"><img alt="{alt}" src="data:image/webp;base64,{data}"></div>'
