"""References from a graph to other files that are wrong in every way there is: each is refused, and says why.

All of these bundles are signed by a trusted key. tests/bundle/test_external_data.py holds what is right.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cathrt.export.bundle.sign import write_bundle
from cathrt.runtime.bundle import onnx_file
from cathrt.runtime.bundle.onnx_external import check_external
from cathrt.runtime.bundle.onnx_file import MAX_FIELDS, check_onnx
from cathrt.runtime.bundle.protobuf import written_bytes
from cathrt.runtime.errors import ManifestError
from tests.golden import HEAD, conv_model, golden_manifest, refer, with_external_data

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MODEL, DATA = with_external_data(conv_model())
GOOD = {"location": "weights.bin", "offset": "0", "length": str(HEAD.nbytes)}

Change = Callable[[onnx.ModelProto], None]


def head(model: onnx.ModelProto) -> TensorProto:
    return model.graph.initializer[0]


def saying(**entries: str) -> Change:
    """The head's reference with other entries."""
    return lambda model: refer(head(model), {**GOOD, **entries})


def without(key: str) -> Change:
    return lambda model: refer(head(model), {name: value for name, value in GOOD.items() if name != key})


def entry_twice(model: onnx.ModelProto) -> None:
    head(model).external_data.add(key="location", value="other.bin")


def entry_without_key(model: onnx.ModelProto) -> None:
    head(model).external_data.add(value="weights.bin")


def set_field(name: str, value: object) -> Change:
    return lambda model: setattr(head(model), name, value)


def other_type(data_type: int, length: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        head(model).data_type = data_type
        refer(head(model), {**GOOD, "length": str(length)})

    return change


def other_shape(*dims: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        del head(model).dims[:]
        head(model).dims.extend(dims)

    return change


def no_name(model: onnx.ModelProto) -> None:
    head(model).ClearField("name")


def same_name(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].name = "head"


def same_name_inside(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(HEAD, "head"))


def overlapping(model: onnx.ModelProto) -> None:
    more = model.graph.initializer.add()
    more.name, more.data_type = "more", TensorProto.FLOAT
    more.dims.extend([1, 1025])
    refer(more, {**GOOD, "length": "4100"})


def inside_another(model: onnx.ModelProto) -> None:
    more = model.graph.initializer.add()
    more.name, more.data_type = "more", TensorProto.FLOAT
    more.dims.append(1)
    refer(more, {**GOOD, "length": "4"})


def external(name: str = "elsewhere") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=HEAD.shape)
    refer(tensor, GOOD)
    return tensor


def in_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_subgraph(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "then", [], [], [external()])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=graph))


def in_sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external())


def in_function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="d").node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_training(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(external())


FAULTS: dict[str, tuple[Change, str]] = {
    "file not in the bundle": (saying(location="other.bin"), "'other.bin', which the manifest does not list"),
    "file in the parent": (saying(location="../weights.bin"), "file name '../weights.bin': expected a relative name"),
    "file in the parent, by a detour": (saying(location="a/../../weights.bin"), "expected a relative name"),
    "file in this folder": (saying(location="./weights.bin"), "expected a relative name"),
    "file absolute": (saying(location="/etc/passwd"), "file name '/etc/passwd': expected a relative name"),
    "file on a drive": (saying(location="C:\\weights.bin"), "expected a relative name"),
    "file with a null byte": (saying(location="weights.bin\0.txt"), "expected a relative name"),
    "file hidden": (saying(location=".weights"), "expected a relative name"),
    "file of no name": (saying(location=""), "expected a relative name"),
    "file of a long name": (saying(location="w" * 400), "expected a relative name"),
    "file of a very long name": (saying(location="w" * 4000), "not an ONNX model .a text of more than 500"),
    "an address in memory": (saying(location="*/_ORT_MEM_ADDR_/*"), "expected a relative name"),
    "a descriptor": (saying(location="/proc/self/fd/3"), "expected a relative name"),
    "the manifest": (saying(location="manifest.json"), "'manifest.json', which the manifest does not list"),
    "the graph itself": (saying(location="model.onnx"), "which is the graph itself"),
    "no location": (without("location"), "does not say its location"),
    "no offset": (without("offset"), "does not say its offset"),
    "no length": (without("length"), "does not say its length"),
    "location twice": (entry_twice, "found entry 'location', expected each"),
    "entry without a key": (entry_without_key, "found entry '', expected each"),
    "unknown entry": (saying(basepath="/etc"), "found entry 'basepath', expected each"),
    "offset negative": (saying(offset="-4096"), "its offset is '-4096', expected a number"),
    "offset with a sign": (saying(offset="+0"), "its offset is '.0', expected a number"),
    "offset hexadecimal": (saying(offset="0x0"), "its offset is '0x0', expected a number"),
    "offset of other digits": (saying(offset="\u0664"), "expected a number"),
    "offset with a blank": (saying(offset=" 0"), "expected a number"),
    "offset beyond 64 bits": (saying(offset="9" * 40), "expected a number"),
    "offset not aligned": (saying(offset="4"), "its offset is 4, expected a multiple of 4096"),
    "offset behind the end": (saying(offset="1048576"), "up to byte 1048768, it has"),
    "offset near 2^63": (saying(offset=str((1 << 59) * 1)), "up to byte 576460752303423680, it has"),
    "length too long": (saying(length=str(HEAD.nbytes + 4)), "its length is 196, .8, 6. of type 1 takes 192"),
    "length too short": (saying(length="4"), "its length is 4, .* takes 192"),
    "length zero": (saying(length="0"), "its length is 0"),
    "shape larger than the file": (other_shape(1 << 40, 1 << 40), "takes 4835703278458516698824704"),
    "shape negative": (other_shape(-8, -6), "found shape .*, expected up to 8 sizes of 1 and more"),
    "shape with zero": (other_shape(0, 6), "expected up to 8 sizes of 1 and more"),
    "shape of nine sizes": (other_shape(*[1] * 9), "expected up to 8 sizes"),
    "type of strings": (set_field("data_type", TensorProto.STRING), "found data type 8, expected one of"),
    "type of nibbles": (other_type(TensorProto.INT4, 48), "its length is 48, .8, 6. of type 22 takes 24"),
    "type complex": (other_type(TensorProto.COMPLEX64, 384), "found data type 14"),
    "type undefined": (set_field("data_type", 0), "found data type 0"),
    "type unknown": (set_field("data_type", 99), "found data type 99"),
    "data here and there": (set_field("raw_data", HEAD.tobytes()), "but has field 9 too"),
    "data here and there as floats": (lambda m: head(m).float_data.append(1.0), "but has field 4 too"),
    "location inside, entries outside": (set_field("data_location", 0), "its data_location is 0, expected 1"),
    "no name": (no_name, "has no name"),
    "name twice": (same_name, "tensor 'head' occurs twice among the initializers"),
    "name twice, once inside": (same_name_inside, "tensor 'head' occurs twice among the initializers"),
    "two ranges that overlap": (overlapping, "byte 0 belongs to two tensors|byte 4096 belongs to two tensors"),
    "a range inside another": (inside_another, "byte 0 belongs to two tensors"),
    "in a constant": (in_constant, "expected that of initializers of the main graph alone"),
    "in a subgraph": (in_subgraph, "expected that of initializers of the main graph alone"),
    "in a sparse initializer": (in_sparse, "expected that of initializers of the main graph alone"),
    "in a function": (in_function, "expected that of initializers of the main graph alone"),
    "in a training graph": (in_training, "expected that of initializers of the main graph alone"),
}


def write(folder: Path, model: onnx.ModelProto) -> None:
    payload = {"model.onnx": model.SerializeToString(), "weights.bin": DATA}
    write_bundle(folder / "bundle", golden_manifest(), payload, KEY)


def test_the_bundle_that_the_faults_start_from_is_good(tmp_path: Path) -> None:
    assert head(MODEL).name == "head"
    write(tmp_path, MODEL)


def test_a_checksum_of_the_file_is_let_pass_since_the_manifest_has_a_better_one(tmp_path: Path) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    saying(checksum="0" * 40)(model)
    write(tmp_path, model)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_reference_that_is_not_plainly_one_range_of_one_file_is_refused(tmp_path: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    change(model)
    with pytest.raises(ManifestError, match=message):
        write(tmp_path, model)
    assert list(tmp_path.iterdir()) == []


# Repeated fields that protobuf readers merge, each in its own way; written by hand, since no library writes them.
RAW_FAULTS = {
    "data_location twice": TensorProto(data_location=TensorProto.DEFAULT),
    "name twice": TensorProto(name="other"),
    "type twice": TensorProto(data_type=TensorProto.INT32),
}


@pytest.mark.parametrize("fault", RAW_FAULTS)
def test_a_field_that_stands_twice_is_refused(fault: str) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    del model.graph.initializer[:]
    tensor = head(MODEL).SerializeToString() + RAW_FAULTS[fault].SerializeToString()
    document = model.SerializeToString() + written_bytes(7, written_bytes(5, tensor))  # a second piece of the graph
    with pytest.raises(ManifestError, match=r"not an ONNX model .field .* stands 2 times"):
        check_onnx("model.onnx", document)


def test_a_data_location_that_parsers_cut_to_external_is_refused() -> None:
    # 14 << 3, then 1, as it is and as 2^32 + 1, which some parsers cut to 1.
    tensor = head(MODEL).SerializeToString().replace(b"\x70\x01", b"\x70\x81\x80\x80\x80\x10")
    document = conv_model().SerializeToString() + written_bytes(7, written_bytes(5, tensor))
    with pytest.raises(ManifestError, match="its data_location is 4294967297, expected 1"):
        check_onnx("model.onnx", document)


def graph_of(number: int, fields: int) -> bytes:
    """A model whose graph is that many empty fields."""
    return written_bytes(7, written_bytes(number, b"") * fields)


def test_a_graph_of_a_million_empty_fields_is_refused_in_seconds() -> None:
    document = graph_of(5, MAX_FIELDS + 1)
    started = time.process_time()
    with pytest.raises(ManifestError, match=f"more than {MAX_FIELDS} fields"):
        check_onnx("model.onnx", document)
    assert time.process_time() - started < 30.0


@pytest.mark.parametrize("number", [1, 2, 5, 11, 15])
def test_the_walk_needs_no_memory_that_grows_with_the_fields(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_FIELDS", 20_000)
    document = graph_of(number, 20_001)
    tracemalloc.start()
    try:
        with pytest.raises(ManifestError, match="more than 20000 fields"):
            check_onnx("model.onnx", document)
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()


def test_a_reference_of_hundreds_of_entries_is_refused() -> None:
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    for number in range(100):
        head(model).external_data.add(key=f"key{number}", value="x")
    with pytest.raises(ManifestError, match="in more than 64 fields"):
        check_onnx("model.onnx", model.SerializeToString())


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_reference_is_refused_or_a_range_of_a_listed_file(changes: list[tuple[int, int]]) -> None:
    document = bytearray(MODEL.SerializeToString())
    for position, byte in changes:
        document[position % len(document)] = byte
    sizes = {"model.onnx": len(document), "weights.bin": len(DATA)}
    with suppress(ManifestError):
        found = check_onnx("model.onnx", bytes(document))
        check_external("model.onnx", found.external, sizes)
        for tensor in found.external:
            assert tensor.file == "weights.bin"
            assert 0 <= tensor.offset < tensor.end <= len(DATA)
