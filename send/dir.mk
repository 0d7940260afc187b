PROGRAMS += pipit-rspawn
pipit-rspawn_SRCS := send/pipit-rspawn.c send/rslot.c send/rworker.c send/rprogram.c
