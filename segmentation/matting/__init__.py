"""From a probability map to mask, trimap, alpha and the subject's own colours."""
