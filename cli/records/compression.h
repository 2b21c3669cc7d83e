// SPDX-License-Identifier: MIT
//
// zstd, for dumps whose names end in ".zst".
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace kvctl {

// Whether bytes that begin so are compressed. Needs four of them, or all.
bool IsCompressed(std::string_view begin);

// Makes frames, which carry a checksum and may follow each other.
class Compressor {
 public:
  Compressor();
  ~Compressor();

  void Append(std::string_view bytes, std::string* out);
  // What was appended can be read without what follows.
  void EndFrame(std::string* out);

 private:
  void Run(std::string_view bytes, bool ends, std::string* out);

  struct State;
  std::unique_ptr<State> state_;
  bool in_frame_ = false;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();

  // Takes bytes off `input` and appends what they hold to `out`, a part of it
  // at a time: call it again while it appends or takes something. False when
  // the bytes are damaged.
  bool Next(std::string_view* input, std::string* out);
  // Whether the input may end here.
  bool at_frame_end() const { return at_frame_end_; }
  // After Next() said false.
  const std::string& error() const { return error_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  bool at_frame_end_ = true;
  std::string error_;
};

}  // namespace kvctl
