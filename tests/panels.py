"""What a panel of a figure shows, read back from its marks."""


def shown(axes, label):
    """From the names on the upward axis to the values drawn under this label."""
    alike = axes.get_shared_y_axes().get_siblings(axes)
    labels = max((one.get_yticklabels() for one in alike), key=len)  # none on inner panels
    names = [text.get_text() for text in labels]
    bars = [bar[0] for bar in axes.containers if bar.get_label() == label]
    lines = bars + [line for line in axes.lines if line.get_label() == label]
    return {
        names[round(place)]: value
        for line in lines
        for value, place in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def without(rows, column):
    """The same table without a column."""
    return [{name: x for name, x in row.items() if name != column} for row in rows]
