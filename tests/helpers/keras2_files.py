"""Keras 2 `.h5` files, written as TensorFlow 2.0 to 2.15 wrote them, without that generation.

The format is that of `model.save("model.h5")`: JSON in `model_config`, and arrays under
`model_weights/<layer>/<layer>/<weight>:0`. Held against files of tf_keras 2.21 when it was written.
"""

from __future__ import annotations

import json

import h5py


def layer(kind, name, reads=(), weights=(), calls=None, **config):
    """One layer: `reads` are names, or whole references; `weights` pairs of name and array."""
    inbound = calls if calls is not None else ([[_reference(r) for r in reads]] if reads else [])
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "inbound_nodes": inbound,
        "weights": list(weights),
    }


def _reference(read):
    return [read, 0, 0, {}] if isinstance(read, str) else read


def conv(name, read, kernel, bias, **config):
    about = {
        "filters": kernel.shape[3],
        "kernel_size": list(kernel.shape[:2]),
        "strides": [1, 1],
        "padding": "valid",
        "data_format": "channels_last",
        "dilation_rate": [1, 1],
        "activation": "linear",
        "use_bias": True,
    }
    weights = [("kernel", kernel), ("bias", bias)]
    return layer("Conv2D", name, [read], weights, **{**about, **config})


def source(name, *shape):
    return layer("InputLayer", name, batch_input_shape=[None, *shape], sparse=False, ragged=False)


def strided_slice(name, read, begin, end, *, begin_mask=0, end_mask=0, ellipsis_mask=0, **other):
    """A slice as TensorFlow 2.0 to 2.3 kept it: a node of its graph, and the constants it reads."""
    masks = {
        "begin_mask": begin_mask,
        "end_mask": end_mask,
        "ellipsis_mask": ellipsis_mask,
        "new_axis_mask": other.get("new_axis_mask", 0),
        "shrink_axis_mask": other.get("shrink_axis_mask", 0),
    }
    attributes = {key: {"i": str(value)} for key, value in masks.items()}
    attributes |= {"T": {"type": "DT_FLOAT"}, "Index": {"type": "DT_INT32"}}
    strides = other.get("strides", [1] * len(begin))
    return operation(name, read, "StridedSlice", {1: begin, 2: end, 3: strides}, attributes)


def operation(name, read, op, constants, attributes=None, reads=None):
    """A `TensorFlowOpLayer`, whose own name stands before the name of its layer."""
    count = len(constants) + len(reads or [read])
    node = {
        "name": name,
        "op": op,
        "input": [f"{name}/{at}" for at in range(count)],
        "attr": attributes or {"T": {"type": "DT_FLOAT"}},
    }
    made = layer("TensorFlowOpLayer", f"tf_op_layer_{name}", reads or [read])
    texts = {str(at): value for at, value in constants.items()}
    made["config"] |= {"name": name, "node_def": node, "constants": texts}
    return made


def functional(layers, inputs, outputs, kind="Functional"):
    """`inputs` and `outputs` are names of layers."""
    plain = [{key: value for key, value in one.items() if key != "weights"} for one in layers]
    return {
        "class_name": kind,
        "config": {
            "name": "model",
            "layers": plain,
            "input_layers": [[name, 0, 0] for name in inputs],
            "output_layers": [[name, 0, 0] for name in outputs],
        },
    }


def write(path, layers, config):
    """A file of these layers' weights and this configuration; returns the path."""
    with h5py.File(path, "w") as file:
        file.attrs["backend"] = "tensorflow"
        file.attrs["keras_version"] = "2.2.4-tf"
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
        groups = file.create_group("model_weights")
        groups.attrs["layer_names"] = [one["name"].encode() for one in layers]
        for one in layers:
            group = groups.create_group(one["name"])
            names = [f"{one['name']}/{name}:0" for name, _ in one["weights"]]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, (_, array) in zip(names, one["weights"], strict=True):
                group.create_dataset(name, data=array)
    return path
