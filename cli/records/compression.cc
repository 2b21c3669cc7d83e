// SPDX-License-Identifier: MIT
#include "cli/records/compression.h"

#include <zstd.h>

#include <algorithm>

#include "base/check.h"

namespace kvctl {
namespace {

constexpr std::string_view kMagic = "\x28\xb5\x2f\xfd";
constexpr size_t kChunkBytes = 128 * 1024;

// Appends room for a chunk, which `use` fills; cuts off what it leaves.
template <typename Use>
void Fill(std::string* out, Use use) {
  const size_t old_size = out->size();
  out->resize(old_size + kChunkBytes);
  ZSTD_outBuffer room = {out->data() + old_size, kChunkBytes, 0};
  use(&room);
  out->resize(old_size + room.pos);
}

}  // namespace

bool IsCompressed(std::string_view begin) { return begin.starts_with(kMagic); }

struct Compressor::State {
  ZSTD_CStream* stream = ZSTD_createCStream();
  ~State() { ZSTD_freeCStream(stream); }
};

Compressor::Compressor() : state_(std::make_unique<State>()) {
  KVD_CHECK(state_->stream != nullptr);
  KVD_CHECK(ZSTD_isError(ZSTD_CCtx_setParameter(state_->stream,
                                                ZSTD_c_checksumFlag, 1)) == 0);
}

Compressor::~Compressor() = default;

void Compressor::Append(std::string_view bytes, std::string* out) {
  if (bytes.empty()) return;
  in_frame_ = true;
  Run(bytes, /*ends=*/false, out);
}

void Compressor::EndFrame(std::string* out) {
  if (!in_frame_) return;
  in_frame_ = false;
  Run({}, /*ends=*/true, out);
}

void Compressor::Run(std::string_view bytes, bool ends, std::string* out) {
  ZSTD_inBuffer input = {bytes.data(), bytes.size(), 0};
  size_t left = 0;
  do {
    Fill(out, [&](ZSTD_outBuffer* room) {
      left = ZSTD_compressStream2(state_->stream, room, &input,
                                  ends ? ZSTD_e_end : ZSTD_e_continue);
    });
    KVD_CHECK(ZSTD_isError(left) == 0);
  } while (input.pos < input.size || (ends && left > 0));
}

struct Decompressor::State {
  ZSTD_DStream* stream = ZSTD_createDStream();
  ~State() { ZSTD_freeDStream(stream); }
};

Decompressor::Decompressor() : state_(std::make_unique<State>()) {
  KVD_CHECK(state_->stream != nullptr);
}

Decompressor::~Decompressor() = default;

bool Decompressor::Next(std::string_view* input, std::string* out) {
  // Nothing new while no frame has begun.
  if (input->empty() && at_frame_end_) return true;
  ZSTD_inBuffer taken = {input->data(), input->size(), 0};
  size_t hint = 0;
  Fill(out, [&](ZSTD_outBuffer* room) {
    hint = ZSTD_decompressStream(state_->stream, room, &taken);
  });
  if (ZSTD_isError(hint) != 0) {
    error_ = ZSTD_getErrorName(hint);
    return false;
  }
  input->remove_prefix(taken.pos);
  at_frame_end_ = hint == 0;
  return true;
}

}  // namespace kvctl
