PROGRAMS += pipit-rspawn
pipit-rspawn_SRCS := send/pipit-rspawn.c send/rslot.c send/rworker.c send/rprogram.c

PROGRAMS += pipit-lspawn
pipit-lspawn_SRCS := send/pipit-lspawn.c send/lspawn-child.c send/lookup.c send/getpw.c
