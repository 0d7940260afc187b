t-repair_SRCS := ofmipd/repair.c
