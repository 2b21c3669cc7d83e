// SPDX-License-Identifier: MIT
//
// Source of the algorithm: H. Hyyrö, "Bit-Parallel LCS-length Computation
// Revisited" (2004). For each byte of the longer string it goes through the
// shorter one 64 bytes at a time. Let L(i, j) be the length for the first i
// bytes of the shorter and the first j of the longer string. A 0 in bit i - 1
// of the row says that L(i, j) > L(i - 1, j), and the carry out of it that
// L(i, j) > L(i, j - 1).
#include "base/strings/lcs.h"

#include <algorithm>
#include <bit>
#include <memory>

namespace kvd {
namespace {

constexpr size_t kWordBits = 64;
constexpr size_t kBytes = 256;

size_t WordsOf(size_t bits) { return (bits + kWordBits - 1) / kWordBits; }

class Rows {
 public:
  explicit Rows(std::string_view shorter)
      : words_(WordsOf(shorter.size())),
        places_(kBytes * words_),
        row_(words_, ~uint64_t{0}) {
    for (size_t i = 0; i < shorter.size(); ++i) {
      uint64_t* const places = PlacesOf(shorter[i]);
      places[i / kWordBits] |= uint64_t{1} << (i % kWordBits);
    }
  }

  size_t words() const { return words_; }
  const std::vector<uint64_t>& row() const { return row_; }

  // Goes on to the next byte of the longer string; calls `each` with a number
  // of a word, the word, and the carries out of its bits.
  template <typename Each>
  void Advance(char byte, Each each) {
    const uint64_t* const places = PlacesOf(byte);
    uint64_t carry = 0;
    for (size_t k = 0; k < words_; ++k) {
      const uint64_t before = row_[k];
      const uint64_t match = before & places[k];
      uint64_t sum = 0;
      const bool first = __builtin_add_overflow(before, match, &sum);
      const bool second = __builtin_add_overflow(sum, carry, &sum);
      carry = first || second ? 1 : 0;
      row_[k] = sum | (before & ~places[k]);
      each(k, row_[k], match | (before & ~sum));
    }
  }

 private:
  uint64_t* PlacesOf(char byte) {
    return places_.data() + static_cast<unsigned char>(byte) * words_;
  }

  const size_t words_;
  std::vector<uint64_t> places_;  // Of each byte in the shorter string.
  std::vector<uint64_t> row_;
};

// For all prefixes of a and b whose last bytes differ: whether more is left
// in common without a's last byte than without b's.
class Choices {
 public:
  Choices(std::string_view a, std::string_view b)
      : a_is_shorter_(a.size() <= b.size()) {
    const std::string_view longer = a_is_shorter_ ? b : a;
    Rows rows(a_is_shorter_ ? a : b);
    words_ = rows.words();
    bits_ = std::make_unique_for_overwrite<uint64_t[]>(words_ * longer.size());
    uint64_t* to = bits_.get();
    for (const char byte : longer) {
      rows.Advance(byte, [&](size_t k, uint64_t row, uint64_t carries) {
        to[k] = a_is_shorter_ ? row & carries : ~(row | carries);
      });
      to += words_;
    }
  }

  bool DropsA(size_t a_size, size_t b_size) const {
    const size_t i = (a_is_shorter_ ? a_size : b_size) - 1;
    const size_t j = (a_is_shorter_ ? b_size : a_size) - 1;
    return (bits_[j * words_ + i / kWordBits] >> (i % kWordBits) & 1) != 0;
  }

 private:
  const bool a_is_shorter_;
  size_t words_ = 0;
  std::unique_ptr<uint64_t[]> bits_;
};

}  // namespace

uint64_t LcsSteps(size_t a_size, size_t b_size) {
  return uint64_t{WordsOf(std::min(a_size, b_size))} * std::max(a_size, b_size);
}

size_t LcsSize(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (a.empty()) return 0;
  Rows rows(a);
  for (const char byte : b)
    rows.Advance(byte, [](size_t, uint64_t, uint64_t) {});
  // Nothing has changed the bits beyond the string.
  size_t size = 0;
  for (const uint64_t word : rows.row()) {
    size += static_cast<size_t>(std::popcount(~word));
  }
  return size;
}

std::vector<CommonRun> LcsRuns(std::string_view a, std::string_view b) {
  std::vector<CommonRun> runs;
  if (a.empty() || b.empty()) return runs;
  const Choices choices(a, b);
  size_t i = a.size();
  size_t j = b.size();
  bool in_run = false;
  while (i > 0 && j > 0) {
    if (a[i - 1] == b[j - 1]) {
      --i;
      --j;
      if (!in_run) runs.push_back({i, j, 0});
      runs.back() = {i, j, runs.back().size + 1};
      in_run = true;
    } else {
      in_run = false;
      if (choices.DropsA(i, j)) {
        --i;
      } else {
        --j;
      }
    }
  }
  return runs;
}

}  // namespace kvd
