"""`python -m pellucid run FILE`: runs a script or a notebook in which `nnsight` means Pellucid."""

import argparse
import json
import runpy
import sys


def cells(text):
    """The code of a notebook, cell by cell; lines for the notebook itself are left out."""
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            source = cell["source"]
            lines = "".join(source).splitlines() if isinstance(source, list) else source.splitlines()
            yield "\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in lines)


def main(arguments=None):
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m pellucid", description=__doc__)
    parser.add_argument("command", choices=["run"])
    parser.add_argument("file", help="a .py or .ipynb file")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="its own arguments")
    given = parser.parse_args(arguments)
    from . import as_nnsight

    as_nnsight.install()
    sys.argv = [given.file, *given.rest]
    if not given.file.endswith(".ipynb"):
        runpy.run_path(given.file, run_name="__main__")
        return
    import linecache

    with open(given.file, encoding="utf-8") as file:
        sources = list(cells(file.read()))
    scope = {"__name__": "__main__", "__builtins__": __builtins__}
    for number, source in enumerate(sources, 1):
        name = f"<cell {number}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        exec(compile(source, name, "exec"), scope)


if __name__ == "__main__":
    main()
