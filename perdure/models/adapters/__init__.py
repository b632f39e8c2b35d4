"""What we add to Wan: keys, cameras, rays, the state's view, identity; each starts at zero, so nothing changes yet.

Below `adapters.` in a model's parameters; the base keeps the names that diffusers gives it. Which are on is
said by the config; a recipe says which train (`lora.trainable`).
"""
