"""Draws figures as bars: one group a scenario, each peer's cost as a share of HAProxy's."""

from xml.sax.saxutils import escape

COLOURS = {"gatewarden": "#1f7a4d", "gatewarden+busy": "#6fae8d", "haproxy": "#8a8f98", "haproxy+jwt": "#b4b8bf", "nginx": "#c9b26b"}
WIDTH, BAR, GAP, LEFT, TOP = 860, 16, 22, 300, 56


def draw(figures):
    """An SVG that needs no script and no font of its own."""
    figures = [one for one in figures if one.get("reference") == "haproxy"]
    most = max([1.0, *(peer["ratio"]["median"] for one in figures for peer in one["peers"].values() if "ratio" in peer)])
    scale = (WIDTH - LEFT - 70) / most
    body, y = [], TOP
    for figure in figures:
        y = group(body, figure, y, scale)
    one = LEFT + scale
    body.append(f'<line x1="{one:.0f}" y1="{TOP - 8}" x2="{one:.0f}" y2="{y - GAP}" stroke="#555" stroke-dasharray="3 3"/>')
    title = "Cost of the same work, HAProxy = 1.00 (lower is better)"
    head = f'<text x="12" y="26" font-size="17" font-weight="bold">{title}</text>'
    style = 'font-family="system-ui, sans-serif" font-size="13" fill="#222"'
    box = f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>'
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} role="img" aria-label="{title}">{box}{head}{"".join(body)}</svg>\n'


def group(body, figure, y, scale):
    """One scenario; where the next begins."""
    body.append(f'<text x="12" y="{y + 12}" font-weight="600">{escape(figure["title"])}</text>')
    y += 20
    for name, peer in figure["peers"].items():
        if "ratio" not in peer:
            continue
        length = peer["ratio"]["median"] * scale
        body.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR - 3}" fill="{COLOURS[name]}"/>')
        value = f'{peer["ratio"]["median"]:.2f}  ({peer["cost"]["median"]:,.0f} {figure["unit"]})'
        inside = length > scale * 0.9
        at, anchor, ink = (LEFT + length - 6, "end", "#fff") if inside else (LEFT + length + 6, "start", "#222")
        body.append(f'<text x="{at:.0f}" y="{y + 11}" font-size="11" text-anchor="{anchor}" fill="{ink}">{escape(value)}</text>')
        y += BAR
    return y + GAP
