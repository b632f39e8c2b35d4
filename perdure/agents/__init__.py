"""Who acts: callables from (world, frames) to an action."""
