PROGRAMS += pipit-tlsd
pipit-tlsd_SRCS := $(addprefix tls/,pipit-tlsd.c certs.c connections.c context.c loader.c memory.c peer.c selfsigned.c session.c \
  shovel.c stores.c tickets.c warmup.c)
# No other program may link libssl: tests/prog/tlsd.py looks.
pipit-tlsd_LIBS := -lssl -lcrypto
