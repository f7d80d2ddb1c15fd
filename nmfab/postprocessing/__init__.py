"""W, H → estimate: grouping, masking, pitch, segmentation."""
