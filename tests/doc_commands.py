#!/usr/bin/env python3
"""Runs the shell commands in README.md and docs/*.md on small data, so that none of them is wrong.

    tests/doc_commands.py ANE_TRAIN [--mpirun MPIRUN] [--list] [DOCUMENT...]

Every fenced block with shell commands has the language `sh`. Its commands are run in order, those of one document in one directory, in
which the files that documents name (MODEL, FILE.txt, ...) exist. They are run as they are, except that
- `scripts/train.sh` is the given program, and no run has more than 20 sequences;
- in a synopsis, `[--option N]` is once omitted and once given, `a|b` is once a and once b, and letters stand for numbers.
A block after the line <!-- not run: REASON --> is not run; the reasons are in REASONS. A command that fails, a block of another
language, and an unknown reason are errors. --list prints the commands without running them.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap

SOURCES = pathlib.Path(__file__).resolve().parent.parent
REASONS = ["needs a Mac", "needs ssh", "needs Homebrew"]
STEPS = 20
# Models that would take too long.
SMALL = {"stories110m": "shakespeare", "qwen3-0.6b": "qwen3-tiny"}
# Letters of synopses.
NUMBERS = {"N": "4", "K": "3", "T": "0.8", "P": "0.9"}
BLOCK = re.compile(r"(?:^[ ]*<!-- not run: (?P<reason>.*?) -->\n)?^(?P<indent>[ ]*)```(?P<language>.*)\n(?P<text>(?:.*\n)*?)[ ]*```$", re.M)
COMMAND = re.compile(r"^\s*(\$ |ane-train |scripts/|mpirun |python3 |brew |git |export )", re.M)


def commands_of(document):
    """The commands of a document with their lines, and the errors of its blocks."""
    text = document.read_text()
    commands, errors = [], []
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start("text")) + 1
        language, reason, body = block["language"], block["reason"], textwrap.dedent(block["text"])
        if language == "python":
            compile(body, f"{document.name}:{line}", "exec")
        elif language != "sh" and COMMAND.search(body):
            errors.append(f"{document.name}:{line}: a block with commands needs the language sh")
        elif reason and reason not in REASONS:
            errors.append(f"{document.name}:{line}: unknown reason '{reason}'; known: {', '.join(REASONS)}")
        elif language == "sh" and not reason:
            for number, command in joined_lines(body, line):
                commands.append((f"{document.name}:{number}", command))
    return commands, errors


def joined_lines(text, number):
    """Lines that end with a backslash continue."""
    start, command = number, ""
    for line in text.splitlines():
        command += line
        number += 1
        if command.endswith("\\"):
            command = command[:-1]
            continue
        if command.strip():
            yield start, command
        start, command = number, ""


def run_variants(commands):
    """What is run for each command, with its place: a synopsis stands for several commands."""
    steps = [int(number) for _, command in commands for number in re.findall(r"--steps (\d+)", command)]
    return [(place, variant) for place, command in commands for variant in variants(made_small(command, steps))]


def variants(command):
    choices = max([word.count("|") + 1 for word in re.findall(r"(?<![\w|'\"])\w+(?:\|\w+)+", command)], default=1)
    texts = [re.sub(r"\[(--[^\]]*)\]", "", command), re.sub(r"\[(--[^\]]*)\]", r"\1", command)]
    found = []
    for text in dict.fromkeys(texts):
        for choice in range(choices):
            pick = lambda match: match[0].split("|")[choice % (match[0].count("|") + 1)]
            found.append(re.sub(r"(?<![\w|'\"])\w+(?:\|\w+)+", pick, text))
    return list(dict.fromkeys(found))


def made_small(command, steps):
    """The command with few sequences and a small model. `steps`: those of the document's runs, after which checkpoints are named."""
    command = re.sub(r"\bscripts/train\.sh\b", "ane-train", command)
    command = re.sub(r"(--steps )(\d+)", lambda match: match[1] + str(min(int(match[2]), STEPS)), command)
    for step in steps:
        command = command.replace(f"step-{step:08d}", f"step-{min(step, STEPS):08d}")
    command = re.sub(r"(--sample-every )\d+", r"\g<1>1", command)
    for name, small in SMALL.items():
        command = command.replace(name, small)
    return re.sub(r"(--[\w-]+ )([NKTP])\b", lambda match: match[1] + NUMBERS[match[2]], command)


def sentencepiece_model(text):
    """A SentencePiece model of type BPE whose tokens are bytes and the characters of `text`."""

    def varint(number):
        return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)

    def field(number, value):
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        return varint(number << 3 | 2) + varint(len(value)) + value

    unknown, control, byte, normal = 2, 3, 6, 1
    pieces = [("<unk>", unknown), ("<s>", control), ("</s>", control)]
    pieces += [(f"<0x{code:02X}>", byte) for code in range(256)]
    pieces += [(character, normal) for character in sorted(set(text) - set(" \n")) + ["\u2581"]]
    model = b"".join(field(1, field(1, piece.encode()) + field(3, kind)) for piece, kind in pieces)
    trainer = field(3, 2) + field(4, len(pieces)) + field(35, 1)  # BPE, with bytes for unknown characters
    return model + field(2, trainer)


def tokenizer_json():
    """ASCII characters, one merge, an end token and those of ChatML."""
    vocabulary = {chr(code): code for code in range(128)} | {"th": 128}
    special = ["<end>", "<|im_start|>", "<|im_end|>"]
    added = [{"id": 129 + i, "content": name, "special": True, "normalized": False} for i, name in enumerate(special)]
    return json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": ["t h"]}, "added_tokens": added})


def write_files(directory, run):
    """The files that documents name."""
    text = (SOURCES / "README.md").read_text().encode("ascii", "ignore").decode()
    for name in "FILE.txt", "FILE", "OTHER", "book.txt", "first.txt":
        (directory / name).write_text(text)
    (directory / "tokenizer.model").write_bytes(sentencepiece_model(text))
    shutil.copy(directory / "tokenizer.model", directory / "bpe.model")
    records = [{"prompt": f"{i} and {i} is", "completion": f"{2 * i}"} for i in range(200)]
    (directory / "FILE.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with open(directory / "chats.jsonl", "w") as chats:
        for record in records:
            messages = [{"role": "user", "content": record["prompt"]}, {"role": "assistant", "content": record["completion"]}]
            chats.write(json.dumps({"messages": messages}) + "\n")
    tokenizer = directory / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "tokenizer.json").write_text(tokenizer_json())
    (tokenizer / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    shape = "--dim 32 --hidden 64 --layers 2 --heads 2 --vocab 256 --seq 512"
    run(f"ane-train {shape} --data FILE.txt --tokenizer tokenizer --steps 1 --checkpoint-dir made")
    run("ane-train export --model made/step-00000001 --format hf --out MODEL")
    run("ane-train --model MODEL --seq 64 --lora 4 --data FILE --steps 1 --checkpoint-dir adapter")
    run("ane-train tokenize FILE.txt --tokenizer MODEL --out FILE.bin")
    run("ane-train --steps 20 --accum-steps 4 --telemetry run.jsonl --dump-mil mil")
    for name in "short.jsonl", "long.jsonl":
        shutil.copy(directory / "run.jsonl", directory / name)
    shutil.copytree(directory / "adapter/step-00000001", directory / "lora/DIR")
    kernel = sorted((directory / "mil").rglob("*.mil"))[0]
    shutil.copytree(kernel.parent, directory / "mil-weights/DIR")
    shutil.copy(kernel, directory / "kernel.mil")


# What DIR is, if a document uses it for something that exists.
DIR = {"lora.md": "lora/DIR", "mil.md": "mil-weights/DIR"}


class Runner:
    def __init__(self, arguments, directory):
        self.directory = directory
        self.mpirun = arguments.mpirun
        programs = directory / "programs"
        programs.mkdir()
        (programs / "ane-train").symlink_to(pathlib.Path(arguments.program).resolve())
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ANE_")} | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ANE_TRAIN": str(programs / "ane-train"),
            "ANE_DEVICE": "host",
            "XDG_CACHE_HOME": str(directory / "cache"),
            # Open MPI refuses root and more processes than cores without these.
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # since version 5
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
            "OMPI_MCA_hwloc_base_binding_policy": "none",
        }

    def missing(self, command):
        """The program without which a command cannot be run here, if it is not installed."""
        first = command.split()[0]
        if first == "mpirun":
            return None if self.mpirun else first
        return first if first == "spm_train" and not shutil.which(first) else None

    def run(self, command, where):
        """The error of a command, or None."""
        if command.split()[0] == "scripts/test.sh":  # runs this test, too
            command = f"bash -n {command}"
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=where,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",  # a small model continues a text with any bytes
            timeout=300,
        )
        return None if result.returncode == 0 else f"exit code {result.returncode} of: {command}\n{result.stdout[-2000:]}"


def run_document(runner, document, commands):
    """The errors of the commands, run in a new directory."""
    where = runner.directory / document.stem
    shutil.copytree(runner.directory / "files", where)
    (where / "scripts").symlink_to(SOURCES / "scripts")
    if document.name in DIR:
        shutil.copytree(where / DIR[document.name], where / "DIR")
    errors = []
    for place, command in run_variants(commands):
        missing = runner.missing(command)
        if missing:
            print(f"{place}: left out, because {missing} is not installed")
            continue
        out = re.search(r"--out (\S+)", command)
        if out:  # of the variant before
            written = where / out[1]
            shutil.rmtree(written) if written.is_dir() else written.unlink(missing_ok=True)
        error = runner.run(command, where)
        if error:
            errors.append(f"{place}: {error}")
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("documents", nargs="*", type=pathlib.Path)
    parser.add_argument("--mpirun", default="", help="without it, commands that begin with mpirun are left out")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    documents = arguments.documents or [SOURCES / "README.md", *sorted((SOURCES / "docs").glob("*.md"))]
    found = [(document, *commands_of(document)) for document in documents]
    if arguments.list:
        for _, commands, _ in found:
            for place, command in run_variants(commands):
                print(f"{place}: {command}")
        return
    errors = [error for _, _, wrong in found for error in wrong]
    with tempfile.TemporaryDirectory(prefix="ane-train documents ") as name:
        runner = Runner(arguments, pathlib.Path(name))
        files = runner.directory / "files"
        files.mkdir()

        def made(command):
            error = runner.run(command, files)
            if error:
                sys.exit(error)

        write_files(files, made)
        for document, commands, _ in found:
            if commands:
                errors += run_document(runner, document, commands)
    count = sum(len(commands) for _, commands, _ in found)
    if errors:
        sys.exit("\n".join(errors))
    print(f"{count} commands of {len(documents)} documents succeeded")


if __name__ == "__main__":
    main()
