"""What a GPU computes by: fused kernels, CUDA graphs, and which form is fastest on this card."""
