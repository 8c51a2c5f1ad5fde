"""Characters that fonts draw alike: as classes of their own, no model could tell them apart.

Each group was found by drawing every character of the typefaces data set: two characters are in one
group if at least half of the font faces that have both draw exactly the same pixels, as they do for
the micro sign and the Greek letter mu.
"""

# Code points in hexadecimal; groups are separated by commas.
_GROUPS = (
    "27 A78C, 2D 2010 2011, 2F 2215, 3A A789, 3B 37E, 41 391 410, 42 392 412, 43 3F9 421 216D, "
    "44 216E, 45 395 415, 46 3DC, 48 397 41D, 49 399 406 4C0 2160, 4A 408, 4B 39A 212A, 4C 216C, "
    "4D 39C 41C 216F, 4E 39D, 4F 39F 41E 555, 50 3A1 420, 51 51A, 53 405, 54 3A4 422, 56 2164, "
    "57 51C, 58 3A7 425 2169, 59 3A5 4AE, 5A 396, 5F 332, 60 2CB 1FEF, 61 430, "
    "63 3F2 441 1D04 217D, 64 217E, 65 435, 68 4BB 210E, 69 456 2170, 6A 3F3 458, 6C 4CF 217C, "
    "6D 217F, 6F 3BF 43E 1D0F, 70 440, 71 51B, 73 455 A731, 76 1D20 2174, 77 51D 1D21, "
    "78 445 2179, 79 443, 7A 1D22, AF 2C9, B4 2CA 384 1FFD, B5 3BC, B7 387, C4 4D2, C5 212B, "
    "C6 4D4, C7 4AA, C8 400, D0 110 189, D6 4E6, D7 2A2F, DE 3F7, E4 4D3, E6 4D5, E7 4AB, EF 457, "
    "F6 4E7, FE 3F8, FF 4F1, 100 1FB9, 102 4D0 1FB8, 103 4D1, 114 4D6, 115 4D7, 12A 1FD9, "
    "12C 1FD8, 138 1D0B, 182 411, 186 3FD 2183, 18F 4D8, 190 510 A72A, 196 A646, 19F 3F4 472 4E8, "
    "1A7 A644, 1A8 A645, 1A9 3A3, 1B7 4E0, 1DD 259 4D9, 233 4EF, 245 39B, 254 37B 1D10 2184, "
    "25B 3B5 511, 269 A647, 275 473 4E9, 28C 1D27, 292 4E1, 2B9 374, 2BB 2018, 2BF 559, 2C1 2E4, "
    "2DC 1FC0, 2EE 201D, 305 203E, 313 343, 333 2017, 370 2C75, 371 2C76, 376 418, 377 438 1D0E, "
    "37A 1FBE, 37D A73F, 385 1FEE, 386 1FBB, 388 1FC9, 389 1FCB, 38A 1FDB, 38C 1FF9, 38E 1FEB, "
    "38F 1FFB, 390 1FD3, 393 413, 3A0 41F, 3A9 2126, 3AC 1F71, 3AD 1F73, 3AE 1F75, 3AF 1F77, "
    "3B0 1FE3, 3B1 237A, 3B4 1E9F, 3B9 2373, 3C1 2374, 3C9 2375, 3CC 1F79, 3CD 1F7B, 3CE 1F7D, "
    "3FF A73E, 427 A78D, 43B 1D2B, 43C 1D0D, 442 1D1B, 448 A7FA, 1D18 1D29, 1D34 1D78, 1FBD 1FBF, "
    "239C 23A2 "
)
GROUPS = tuple(tuple(int(code, 16) for code in group.split()) for group in _GROUPS.split(","))
GROUP_OF = {code: group for group in GROUPS for code in group}
