/* container.h: what libsndfile does not tell about Ogg and RIFF files. */
#ifndef BC_AUDIO_CONTAINER_H
#define BC_AUDIO_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does the file (fd, of size bytes) end where its container says? An Ogg
 * stream ends with a page that has the end-of-stream flag; a WAV or AIFF has
 * all the bytes of its data chunk. True for every other kind of file, and
 * when there is nothing to tell. *granule: samples (for Vorbis) up to the last
 * whole Ogg page, 0 if there is no page of sound; -1 if unknown. */
bool bc_container_complete(int fd, int64_t size, int64_t *granule);

/* Give every page of an Ogg file the serial number that its content has as
 * checksum: encoders draw one at random, and then no two runs agree. */
void bc_ogg_stamp(unsigned char *bytes, size_t size);

/* The same in a file that is open to read and write, page by page. False, with errno. */
bool bc_ogg_stamp_file(int fd);

#endif
