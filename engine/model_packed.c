// Unpacking of 4-bit codes (model_packed.h).
#include "engine/model_packed.h"

#include "kernels/convert.h"

int64_t wf_mxfp4_unpack(const uint8_t *codes, const uint8_t *scales, int64_t n, uint16_t *out)
{
    for (int64_t b = 0; b < n / WF_MXFP4_BLOCK; b++) {
        float scale = wf_f32_of_bits((uint32_t)scales[b] << 23); // 2^(scale - 127)
        uint16_t values[16];
        if (scales[b] == 255) return b;
        if (scales[b] == 0) scale = 0x1p-127f;
        for (uint8_t c = 0; c < 16; c++)
            values[c] = (uint16_t)(wf_f32_bits(wf_mxfp4_to_f32(c) * scale) >> 16);
        for (int i = 0; i < WF_MXFP4_BLOCK / 2; i++) {
            uint8_t byte = codes[b * (WF_MXFP4_BLOCK / 2) + i];
            out[b * WF_MXFP4_BLOCK + 2 * i] = values[byte & 15];
            out[b * WF_MXFP4_BLOCK + 2 * i + 1] = values[byte >> 4];
        }
    }
    return -1;
}

int64_t wf_slice_packed_row(const wf_slice *s, int i_part)
{
    return (s->first_group + s->i_group) * wf_slice_tensor_rows(s, i_part);
}
