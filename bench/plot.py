"""Cost against size: small charts in one SVG, each line from the smallest size to the largest."""

from xml.sax.saxutils import escape

WIDTH, HEIGHT, COLUMNS = 300, 190, 3
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 30
INK, GRID, LINE, GOAL = "#333", "#ddd", "#2563a8", "#b3541e"


def size_text(n):
    return f"{n / 1e6:g} M" if n >= 1000000 else f"{n / 1e3:g} k"


def value_text(v):
    if v >= 1e6:
        return f"{v / 1e6:.3g} M"
    return f"{v / 1e3:.3g} k" if v >= 1000 else f"{v:.3g}"


def steps(most):
    """A round number above `most`, and four equal steps to it."""
    unit = 1.0
    while unit * 10 <= most:
        unit *= 10
    while unit > most:
        unit /= 10
    top = next(unit * k for k in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * k >= most)
    return [top * k / 4 for k in range(5)]


def chart(x0, y0, title, unit, points, goal):
    """points: (size, median, least, most), by size."""
    right, bottom = x0 + WIDTH - RIGHT, y0 + HEIGHT - BOTTOM
    marks = steps(max([p[3] for p in points] + ([goal] if goal else [])) or 1)

    def at_x(i):
        return x0 + LEFT + (right - x0 - LEFT) * (i / max(1, len(points) - 1))

    def at_y(v):
        return bottom - (bottom - y0 - TOP) * v / marks[-1]

    out = [f'<text x="{x0 + 8}" y="{y0 + 18}" class="title">{escape(title)}, {escape(unit)}</text>']
    for mark in marks:
        out.append(f'<line x1="{x0 + LEFT}" y1="{at_y(mark):.1f}" x2="{right}" y2="{at_y(mark):.1f}" stroke="{GRID}"/>')
        out.append(f'<text x="{x0 + LEFT - 6}" y="{at_y(mark) + 4:.1f}" text-anchor="end">{value_text(mark)}</text>')
    if goal:
        out.append(f'<line x1="{x0 + LEFT}" y1="{at_y(goal):.1f}" x2="{right}" y2="{at_y(goal):.1f}" stroke="{GOAL}" '
                   f'stroke-dasharray="4 3"/>')
    line = " ".join(f"{at_x(i):.1f},{at_y(p[1]):.1f}" for i, p in enumerate(points))
    out.append(f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    for i, (size, middle, least, most) in enumerate(points):
        out.append(f'<line x1="{at_x(i):.1f}" y1="{at_y(least):.1f}" x2="{at_x(i):.1f}" y2="{at_y(most):.1f}" '
                   f'stroke="{LINE}"/>')
        out.append(f'<circle cx="{at_x(i):.1f}" cy="{at_y(middle):.1f}" r="3" fill="{LINE}"/>')
        out.append(f'<text x="{at_x(i):.1f}" y="{bottom + 16}" text-anchor="middle">{size_text(size)}</text>')
        above = -8 if at_y(middle) - y0 > TOP + 14 else 16
        out.append(f'<text x="{at_x(i):.1f}" y="{at_y(middle) + above:.1f}" text-anchor="middle" class="value">'
                   f'{value_text(middle)}</text>')
    return out


def svg(charts):
    """charts: (title, unit, points, goal)"""
    rows = (len(charts) + COLUMNS - 1) // COLUMNS
    width, height = COLUMNS * WIDTH, rows * HEIGHT
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'role="img" aria-label="Cost against the number of inferences in the store">',
           f"<style>text{{font:11px sans-serif;fill:{INK}}}.title{{font-size:12px;font-weight:600}}"
           ".value{font-weight:600}</style>",
           f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for i, (title, unit, points, goal) in enumerate(charts):
        out += chart(i % COLUMNS * WIDTH, i // COLUMNS * HEIGHT, title, unit, points, goal)
    return "\n".join(out + ["</svg>", ""])
