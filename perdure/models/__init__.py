"""What is learned. Models take tensors; they know no world, no clips, no process group."""
