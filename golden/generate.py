"""Makes the reference values that the Rust tests compare with (the tests themselves never run Python).

    python golden/generate.py            # every topic
    python golden/generate.py moco stats # some

Each topic is a module make_<topic>.py with main(out_dir), and writes golden/<topic>/ together with the versions of the
libraries that computed it.
"""

import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main() -> None:
    sys.path.insert(0, str(HERE))
    topics = sys.argv[1:] or sorted(p.stem.removeprefix("make_") for p in HERE.glob("make_*.py"))
    for topic in topics:
        out = HERE / topic
        out.mkdir(exist_ok=True)
        importlib.import_module(f"make_{topic}").main(out)
        print(f"{topic}: {out}")


if __name__ == "__main__":
    main()
