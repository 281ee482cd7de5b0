/* SPDX-License-Identifier: MIT */
#pragma once
/* CRC-32C (Castagnoli), the checksum of every structure and sector on a volume.
 * Polynomial 0x1edc6f41 reflected, initial value and final XOR 0xffffffff: the CRC of
 * "123456789" is 0xe3069283. It finds accidents; authenticity is the business of BLAKE3.
 *
 * Threads: pure functions.
 */
#include <stddef.h>
#include <stdint.h>

/* The CRC-32C of @size bytes (0 is fine, and then @data may be NULL). */
uint32_t crc32c(const void *data, size_t size);
