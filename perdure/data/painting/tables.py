"""Where the kernels' flat tables have what.

Shapes: L lamps, S surfaces, X Y Z cells of the volume.
"""

# Columns of the surface table (S, 14); three colours of three follow COLOUR.
TEXTURE, SCALE, SEED, GLOSS, GLOW, COLOUR = 0, 1, 2, 3, 4, 5

# Places in the vector of what holds for the whole scene.
SUN = 0  # 3: toward the sun
SUNLIGHT = 3  # 3
ZENITH = 6  # 3
HORIZON = 9  # 3
FOG, EXPOSURE, CLOUDS, SKY_SEED = 12, 13, 14, 15
CORNER = 16  # 3: world position of the volume's first cell centre
CELL = 19  # metres
SUN_POSE = 20  # 12: the sun's camera, camera to world, three rows of four
SUN_FOCAL = 32
CLOUDLIGHT = 33  # 3: of the clouds, 1 by day
STARS = 36  # 0 by day, 1 at night
SCENE_VALUES = 37

# Places in the vector of what the weather does now; where there is none, `air` is None and costs nothing.
WET, WHITE, TIME = 0, 1, 2  # how wet and how white with snow what lies open is, 0 to 1; seconds
ROOF_CORNER, ROOF_CELL = 3, 5  # where the first column of the roofs has its middle, and how far apart they are
AIR_VALUES = 6

# Columns of the lamp table (L, 7): position, colour times strength, reach.
LAMP_COLOUR, LAMP_REACH = 3, 6

# Channels of the volume (X, Y, Z, 4 + L): 1 where there is no solid, light from around, the share of each lamp.
OPEN, AROUND, LAMPS = 0, 1, 4

ENCODE_STEPS = 4096
SHADOW_BIAS = 0.03  # metres
