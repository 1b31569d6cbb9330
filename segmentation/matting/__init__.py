"""Probability map to mask, trimap, alpha and the subject's own colours."""
