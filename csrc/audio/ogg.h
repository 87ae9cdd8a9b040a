/* ogg.h: what libsndfile does not tell about Ogg files. */
#ifndef BC_AUDIO_OGG_H
#define BC_AUDIO_OGG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does an Ogg file (fd, of size bytes) end with a page that has the end-of-stream flag?
 * True for every other kind of file. *granule: samples (for Vorbis) up to the last whole
 * page, 0 if there is no page of sound; -1 if unknown. */
bool bc_ogg_complete(int fd, int64_t size, int64_t *granule);

/* Give every page of an Ogg file the serial number that its content has as
 * checksum: encoders draw one at random, and then no two runs agree. */
void bc_ogg_stamp(unsigned char *bytes, size_t size);

/* The same in a file that is open to read and write, page by page. False, with errno. */
bool bc_ogg_stamp_file(int fd);

#endif
