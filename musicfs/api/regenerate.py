"""Makes ``generated/`` anew from ``proto/``: ``python -m musicfs.api.regenerate``, in a checkout with grpcio-tools.

Generated code runs with the protobuf release it was made with and with newer ones, so use the oldest that pyproject
admits. Service classes are not generated: ``server`` and ``client`` take the methods from the descriptor.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROTO = "musicfs/v1/musicfs.proto"


def compile_proto(*arguments: str) -> None:
    """Run protoc on the contract with further ``arguments``; raises RuntimeError when it is not accepted."""
    protoc = importlib.import_module("grpc_tools.protoc")
    proto_dir = os.path.join(_ROOT, "proto")
    if protoc.main(["protoc", f"-I{proto_dir}", *arguments, _PROTO]) != 0:
        raise RuntimeError(f"protoc does not accept {os.path.join(proto_dir, _PROTO)}")


def main() -> int:
    """Replace the generated modules."""
    target = os.path.join(_ROOT, "musicfs", "api", "generated")
    with tempfile.TemporaryDirectory() as folder:
        compile_proto(f"--python_out={folder}", f"--pyi_out={folder}")
        for name in ("musicfs_pb2.py", "musicfs_pb2.pyi"):
            shutil.copy(os.path.join(folder, "musicfs", "v1", name), os.path.join(target, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
