PROGRAMS += pipit-rcptd
pipit-rcptd_SRCS := $(addprefix policy/,pipit-rcptd.c rcptd-judge.c rcptd-look.c rcptd-loop.c rcptd-passwd.c)
# Three processes of it run all the time: without libraries of its own each has less to write to.
pipit-rcptd_LIBS := -l:libcdb.a -l:libskarnet.a

t-look_SRCS := policy/rcptd-look.c
