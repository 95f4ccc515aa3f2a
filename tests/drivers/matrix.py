"""The table of docs/compatibility.md, made of what the batteries printed and what the proxy counted meanwhile.

    matrix.py WORK DOCUMENT DIFFERENCES [--write]

WORK holds `<server>/<driver>.direct`, `.proxy`, `.marks`, and `versions`. DIFFERENCES holds every line that differs, under
`== driver server feature`. Without --write both are compared: it fails if the run is worse than the document says, if
the document leaves something out, or if a line differs that is not in DIFFERENCES.
"""

import difflib
import re
import sys
from pathlib import Path

BEGIN, END = "<!-- drivers: written by tests/drivers/run -->", "<!-- drivers: end -->"
SERVERS = {"mariadb": "MariaDB", "mysql": "MySQL"}
FEATURES = ["connect", "types", "prepared", "transactions", "session state", "diagnostics", "results", "character sets", "dump", "login"]
UNCOUNTED = ["setup", "request cycle", "end"]


def sections(path):
    """What was printed, by feature."""
    name, found = "setup", {}
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("== "):
            name = line[3:]
        found.setdefault(name, []).append(line)
    return found


def counts(path):
    """What the proxy counted during each section."""
    moments = []
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("== "):
            moments.append((line[3:], {}))
        elif moments and (told := re.match(r"dazzle_(pins|statements|statements_pinned)_total(?:\{.*?\})? (\S+)", line)):
            values = moments[-1][1]
            values[told[1]] = values.get(told[1], 0) + float(told[2])
    counted = {}
    for (name, before), (_, after) in zip(moments, moments[1:]):
        # A feature may be told in parts.
        sums = counted.setdefault(name, {})
        for key in after:
            sums[key] = sums.get(key, 0) + after[key] - before.get(key, 0)
    return counted


class Driver:
    def __init__(self, name, version, work):
        self.name, self.version, self.cells, self.pins, self.rate = name, version, {}, {}, {}
        self.differences = {}
        for server in SERVERS:
            direct, proxy = (work / server / f"{name}.{way}" for way in ("direct", "proxy"))
            if not direct.exists():
                continue
            direct, proxy = sections(direct), sections(proxy)
            for feature in dict.fromkeys([*direct, *proxy]):
                lines = [line for line in difflib.unified_diff(direct.get(feature, []), proxy.get(feature, []), n=0, lineterm="")
                         if not line.startswith(("--- ", "+++ ", "@@ "))]
                same = not lines
                if lines:
                    self.differences[f"{name} {server} {feature}"] = lines
                before = self.cells.get(feature, "ok")
                self.cells[feature] = before if same else f"{before}, not {SERVERS[server]}".removeprefix("ok, ")
            counted = counts(work / server / f"{name}.marks")
            if connect := counted.get("connect"):
                self.pins[server] = int(connect["pins"])
            if cycle := counted.get("request cycle"):
                self.rate[server] = 100 * cycle["statements_pinned"] / max(cycle["statements"], 1)

    def rows(self):
        cells = [self.cells.get(feature, "–") for feature in FEATURES]
        each = lambda values, form: " / ".join(form.format(values[server]) if server in values else "–" for server in SERVERS)
        return (f"| {self.name} | {self.version} | {' | '.join(cells)} |",
                f"| {self.name} | {each(self.pins, '{}')} | {each(self.rate, '{:.1f} %')} |")


def table(drivers):
    rows = [driver.rows() for driver in drivers]
    return "\n".join([
        BEGIN, "",
        f"| driver | version | {' | '.join(FEATURES)} |", "|---|---" + "|---" * len(FEATURES) + "|", *(row[0] for row in rows), "",
        f"| driver | pins of ten connects ({' / '.join(SERVERS.values())}) | statements of a request cycle that leave their session pinned outside a transaction |",
        "|---|---|---|", *(row[1] for row in rows), "", END,
    ])


def parsed(block):
    """The cells of a table, by row and column."""
    found, heads = {}, []
    for line in block.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells or set(line) <= set("|-"):
            heads = heads if cells else []
        elif not heads:
            heads = cells
        else:
            found.update({(cells[0], head): cell for head, cell in zip(heads[1:], cells[1:])})
    return found


def listed(path):
    """The differences of the file, by heading."""
    found = {}
    for line in path.read_text().splitlines():
        if line.startswith("== "):
            found[line[3:]] = lines = []
        elif line[:1] in ("-", "+"):
            lines.append(line)
    return found


def write_differences(path, found):
    lines = ["What differs through the proxy (+) from direct (-), line by line. Written by tests/drivers/run --write."]
    for heading in sorted(found):
        lines += ["", f"== {heading}", *found[heading]]
    path.write_text("\n".join(lines) + "\n")


def worse(before, after):
    """Whether a cell of this run is worse than the document has it."""
    if before == after or after == "–":
        return False
    numbers = [re.findall(r"[\d.]+|–", cell) for cell in (before, after)]
    if re.fullmatch(r"[\d.–%/ ]+", after):
        return any(b == "–" or (a != "–" and float(a) > float(b)) for b, a in zip(*numbers))
    return after != "ok"


def main():
    work, document, file = (Path(argument) for argument in sys.argv[1:4])
    versions = [line.split(maxsplit=1) for line in (work / "versions").read_text().splitlines()]
    drivers = [Driver(name, version.strip(), work) for name, version in versions]
    unknown = {feature for driver in drivers for feature in driver.cells} - {*FEATURES, *UNCOUNTED}
    if unknown:
        sys.exit(f"matrix: sections that are no feature: {', '.join(sorted(unknown))}")
    block, text = table(drivers), document.read_text()
    begin, end = text.index(BEGIN), text.index(END) + len(END)
    differences = {heading: lines for driver in drivers for heading, lines in driver.differences.items()}
    if "--write" in sys.argv:
        document.write_text(text[:begin] + block + text[end:])
        write_differences(file, differences)
        return
    before, after, known = parsed(text[begin:end]), parsed(block), listed(file)
    complaints = [f"{row}, {column}: {after[row, column]}; the document says {before.get((row, column), 'nothing')}"
                  for row, column in after
                  if column != "version" and ((row, column) not in before or worse(before[row, column], after[row, column]))]
    complaints += [f"{heading}: {len(lines)} lines differ, and not as {file} says"
                   for heading, lines in differences.items() if known.get(heading) != lines]
    for complaint in complaints:
        print(f"  WORSE   {complaint}")
    if not complaints and (block != text[begin:end] or differences != known):
        print(f"  {document} or {file} is out of date, though not wrong: tests/drivers/run --write")
    sys.exit(bool(complaints))


main()
