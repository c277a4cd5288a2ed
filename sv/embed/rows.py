"""Rewriting of exported graphs: maps over time become images of one row, and means over images become pooling.

Runtimes know layouts of two-dimensional networks in which nothing has to be moved between a convolution, a mean over all
frames and what follows. Of one-dimensional networks they turn the maps round for every mean and every softmax.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

ROW = 2  # axis that is put in; the frames move from 2 to 3
POINTWISE = {"Relu", "Sigmoid", "Tanh", "Exp", "Sqrt", "Abs", "Neg", "Log", "Clip", "Identity", "BatchNormalization"}
BROADCAST = {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"}
WINDOWED = {"Conv", "MaxPool", "AveragePool"}
JOINED = {"Concat", "Split"}
MEANS = {"ReduceMean", "ReduceSum"}


def maps_in_rows(model: ir.Model) -> None:
    """Rewrite a graph in place; what it computes stays, but for the order of sums.

    A map (batch, channels, frames) that a convolution makes becomes (batch, channels, 1, frames) as far as nodes follow that
    can read it so. Sums and means over the frames, and over both axes of images, become global pooling.

    Parameters
    ----------
    model : onnx_ir.Model
        With the shape of every value.
    """
    graph = Rewriting(model.graph)
    for node in list(model.graph):
        graph.rewrite(node)
    RemoveUnusedNodesPass()(model)


class Rewriting:
    """A graph whose nodes are replaced one after the other.

    Attributes
    ----------
    rows : dict of onnx_ir.Value to onnx_ir.Value
        Of maps, the same as images of one row.
    shares : dict of onnx_ir.Value to pair of onnx_ir.Value
        Of images that a softmax over the frames made, alone or times others: the same before its division, and its divisor
        over the number of frames.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph, self.rows, self.shares, self.place = graph, {}, {}, None

    def rewrite(self, node: ir.Node) -> None:
        """Replace a node if it is one of those that can be."""
        self.place = node
        if any(output.is_graph_output() for output in node.outputs):
            return
        kind = node.op_type
        if kind in MEANS and axes_of(node) is not None:
            self._pool(node, axes_of(node))
            return
        if kind not in POINTWISE | BROADCAST | WINDOWED | JOINED | {"Softmax"} or rank(node.outputs[0]) != ROW + 1:
            return
        if kind not in WINDOWED and not any(value in self.rows for value in node.inputs):
            return  # no convolution's maps
        if kind == "Softmax":
            self._softmax(node)
        elif (inputs := self._inputs(node)) is not None:
            attributes = {name: item.value for name, item in node.attributes.items()}
            images = self._add(kind, inputs, changed(kind, attributes), outputs=node.outputs)
            if kind == "Mul":
                self._keep_shares(node, inputs, images[0])
            self._replace(node, images)

    def _inputs(self, node: ir.Node) -> list[ir.Value | None] | None:
        """Inputs for images of one row; None if there are some that cannot be."""
        if node.op_type == "BatchNormalization" or node.op_type in {"Clip", "Split"}:
            return [self._row(node.inputs[0]), *node.inputs[1:]]
        if node.op_type == "Conv":
            return [*(self._row(value) for value in node.inputs[:2]), *node.inputs[2:]]
        found = [self._row(value) if rank(value) == ROW + 1 else value for value in node.inputs]
        return found if all(rank(value) in (0, ROW + 2) for value in found) else None

    def _row(self, value: ir.Value) -> ir.Value:
        """A value of three axes with one of one row put in."""
        if value not in self.rows:
            if value.const_value is not None:
                array = np.expand_dims(value.const_value.numpy(), ROW)
                self.rows[value] = self._constant(array)
            else:
                self.rows[value] = self._add("Unsqueeze", [value, self._constant([ROW])], shapes=[with_row(value)])[0]
        return self.rows[value]

    def _replace(self, node: ir.Node, images: Sequence[ir.Value]) -> None:
        """Put images of one row in the place of a node's outputs; who cannot read them gets what they were."""
        for old, image in zip(node.outputs, images, strict=True):
            maps = self._add("Squeeze", [image, self._constant([ROW])], shapes=[old.shape])[0]
            ir.convenience.replace_all_uses_with(old, maps)
            self.rows[maps] = image

    def _pool(self, node: ir.Node, axes: tuple[int, ...]) -> None:
        """Global pooling for a sum or a mean over the frames, or over both axes of images."""
        value, (output,) = node.inputs[0], node.outputs
        before = value.producer()
        if before is not None and before.op_type == "Transpose" and "perm" in before.attributes and rank(output) == ROW:
            order = before.attributes["perm"].as_ints()
            if [axis for at, axis in enumerate(order) if at not in axes] == list(range(ROW)):
                value, axes = before.inputs[0], tuple(sorted(order[axis] for axis in axes))
        if value.dtype != ir.DataType.FLOAT:
            return
        is_map = axes == (ROW,) and value in self.rows
        if not (is_map or (rank(value) == ROW + 2 and axes == (ROW, ROW + 1))):
            return
        image = self.rows[value] if is_map else value
        pooled = self._mean(image) if node.op_type == "ReduceMean" else self._sum(image)
        if rank(output) == ROW:
            flat = self._add("Squeeze", [pooled, self._constant([ROW, ROW + 1])], shapes=[output.shape])[0]
            ir.convenience.replace_all_uses_with(output, flat)
        elif is_map:
            self._replace(node, [pooled])
        else:
            ir.convenience.replace_all_uses_with(output, pooled)

    def _softmax(self, node: ir.Node) -> None:
        """Exponentials over their sum for a softmax over the frames."""
        axis = node.attributes.get("axis")
        if axis is not None and axis.as_int() not in (ROW, -1):
            return
        image = self._row(node.inputs[0])
        one = [ir.Shape([*image.shape[: ROW + 1], 1])]
        largest = self._add("ReduceMax", [image, self._constant([ROW + 1])], {"keepdims": 1}, shapes=one)[0]
        (below,) = self._add("Sub", [image, largest], shapes=[image.shape])
        (powers,) = self._add("Exp", [below], shapes=[image.shape])
        (shares,) = self._add("Div", [powers, self._sum(powers)], shapes=[image.shape])
        self.shares[shares] = powers, self._mean(powers)
        self._replace(node, [shares])

    def _keep_shares(self, node: ir.Node, factors: Sequence[ir.Value], product: ir.Value) -> None:
        """Remember a product with a softmax before its division, which then is one of sums instead of maps."""
        for share, other in (factors, factors[::-1]):
            if share in self.shares and other not in self.shares:
                powers, divisor = self.shares[share]
                self.shares[product] = self._add("Mul", [other, powers], outputs=node.outputs)[0], divisor

    def _mean(self, image: ir.Value) -> ir.Value:
        height = image.shape[ROW]
        if height != 1 and isinstance(height, int):  # first over the columns: MNN adds up one value after the other
            shapes = [ir.Shape([*image.shape[:ROW], 1, image.shape[ROW + 1]])]
            window = {"kernel_shape": (height, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}
            (image,) = self._add("AveragePool", [image], window, shapes=shapes)
        return self._add("GlobalAveragePool", [image], shapes=[ir.Shape([*image.shape[:ROW], 1, 1])])[0]

    def _sum(self, image: ir.Value) -> ir.Value:
        if image in self.shares:
            undivided, divisor = self.shares[image]
            mean = self._mean(undivided)
            return self._add("Div", [mean, divisor], shapes=[mean.shape])[0]
        mean, sizes = self._mean(image), image.shape[ROW:]
        if all(isinstance(size, int) for size in sizes):
            return self._add("Mul", [mean, self._constant(np.float32(np.prod(sizes)))], shapes=[mean.shape])[0]
        (shape,) = self._add("Shape", [image], {"start": ROW}, shapes=[ir.Shape([2])], kind=ir.DataType.INT64)
        (count,) = self._add("ReduceProd", [shape], {"keepdims": 0}, shapes=[ir.Shape([])], kind=ir.DataType.INT64)
        (number,) = self._add("Cast", [count], {"to": int(ir.DataType.FLOAT)}, shapes=[ir.Shape([])])
        return self._add("Mul", [mean, number], shapes=[mean.shape])[0]

    def _constant(self, value: Any) -> ir.Value:
        tensor = ir.tensor(np.asarray(value))
        name = f"rows_{len(self.graph.initializers)}"
        constant = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.initializers[name] = constant
        return constant

    def _add(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: dict[str, Any] | None = None,
        *,
        outputs: Sequence[ir.Value] = (),
        shapes: Sequence[ir.Shape] = (),
        kind: ir.DataType = ir.DataType.FLOAT,
    ) -> Sequence[ir.Value]:
        """Add a node before the one that is being replaced: one row put into `outputs`, or outputs of these shapes."""
        shapes = [with_row(output) for output in outputs] or shapes
        node = ir.node(op_type, inputs, attributes or {}, num_outputs=len(shapes))
        for value, shape in zip(node.outputs, shapes, strict=True):
            value.shape, value.type = shape, ir.TensorType(kind)
        self.graph.insert_before(self.place, node)
        return node.outputs


def rank(value: ir.Value | None) -> int | None:
    """Number of axes of a value."""
    return None if value is None or value.shape is None else len(value.shape)


def with_row(value: ir.Value) -> ir.Shape:
    """Shape of (batch, channels, frames) with one row."""
    return ir.Shape([*value.shape[:ROW], 1, *value.shape[ROW:]])


def axes_of(node: ir.Node) -> tuple[int, ...] | None:
    """Axes that a node sums over, counted from the first one; None if it does not say them."""
    if len(node.inputs) < 2 or node.inputs[1] is None or node.inputs[1].const_value is None:
        return None
    count = rank(node.inputs[0])
    return tuple(sorted(axis % count for axis in node.inputs[1].const_value.numpy().tolist()))


def changed(op_type: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a node of three axes, for one of four."""
    if op_type in JOINED and "axis" in attributes:
        axis = attributes["axis"] % (ROW + 1)
        return {**attributes, "axis": axis + (axis >= ROW)}
    before: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(("kernel_shape", "strides", "dilations"), lambda given: (1, *given)),
        "pads": lambda given: (0, given[0], 0, given[1]),
    }
    return {name: before[name](value) if name in before else value for name, value in attributes.items()}
