/* service/interface.h - the texts of our varlink interfaces, as the files *.varlink beside this one have them. */
#ifndef CM_SERVICE_INTERFACE_H
#define CM_SERVICE_INTERFACE_H

/* Made of the files by service/interface.cmake; each ends in a NUL. */
extern const char cm_interface_io_cardmap[];
extern const char cm_interface_io_cardmap_login[];

#endif /* CM_SERVICE_INTERFACE_H */
