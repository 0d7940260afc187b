# What checks a password. PAM is used where its headers are, and in this program alone; its modules
# find the rest of libc by themselves.
PROGRAMS += pipit-checkpass
pipit-checkpass_SRCS := $(addprefix auth/,pipit-checkpass.c checkpass-become.c checkpass-pam.c checkpass-scram.c \
  passwd.c scram.c secret.c)
PAM := $(wildcard /usr/include/security/pam_appl.h)
pipit-checkpass_LIBS := -lcrypt -lcrypto $(if $(PAM),-lpam)
$B/auth/checkpass-pam.o: private CC_MORE := $(if $(PAM),-DHAVE_PAM)
