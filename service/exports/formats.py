"""The formats by the names that the API knows them by."""

from enum import StrEnum

from service.exports.lines import CSV
from service.exports.making import Format
from service.exports.pictures import COCO, LABEL_MAP, NUMPY, PNG
from service.exports.records import JSON
from service.exports.volumes import NIFTI


class FormatName(StrEnum):
    """What a project can be exported as."""

    PNG = "png"
    LABELMAP = "labelmap"
    COCO = "coco"
    NIFTI = "nifti"
    NUMPY = "numpy"
    CSV = "csv"
    JSON = "json"


FORMATS: dict[FormatName, Format] = {
    FormatName.PNG: PNG,
    FormatName.LABELMAP: LABEL_MAP,
    FormatName.COCO: COCO,
    FormatName.NIFTI: NIFTI,
    FormatName.NUMPY: NUMPY,
    FormatName.CSV: CSV,
    FormatName.JSON: JSON,
}
