t-data_SRCS := smtpd/data.c
