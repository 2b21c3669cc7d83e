// SPDX-License-Identifier: MIT
//
// Bytes into the decoder of each format. They must find the same in a whole
// input as in pieces of it, and what they find is found again after it was
// written. The first byte tells the format, the second the sizes of the pieces.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "cli/records/dump_format.h"

namespace kvctl {
namespace {

struct Decoded {
  std::vector<Record> records;
  std::string error;
};

template <typename NextSize>
Decoded Decode(DumpFormat format, std::string_view input, NextSize next_size) {
  Decoded decoded;
  const std::unique_ptr<RecordDecoder> decoder = MakeDecoder(format);
  size_t begin = 0;
  size_t end = 0;
  while (true) {
    Record record;
    // A copy: its end is the end of an allocation, and it moves.
    const std::string arrived(input.substr(begin, end - begin));
    const bool is_end = end == input.size();
    const DecodeOutcome outcome = decoder->Next(arrived, is_end, &record);
    if (outcome == DecodeOutcome::kError) {
      decoded.error = decoder->error();
      KVD_CHECK(!decoded.error.empty());
      return decoded;
    }
    KVD_CHECK(decoder->consumed() <= arrived.size());
    begin += decoder->consumed();
    if (outcome == DecodeOutcome::kRecord) {
      decoded.records.push_back(std::move(record));
    } else if (is_end) {
      return decoded;
    } else {
      end += std::min(next_size(), input.size() - end);
    }
  }
}

bool Same(const std::vector<Record>& a, const std::vector<Record>& b) {
  return std::ranges::equal(a, b, [](const Record& one, const Record& other) {
    return one.key == other.key && one.value == other.value &&
           one.expires_ms == other.expires_ms;
  });
}

void Check(DumpFormat format, uint8_t seed, std::string_view input) {
  const auto whole = [&] { return input.size(); };
  std::minstd_rand random(seed);
  const auto pieces = [&] { return size_t{1} + random() % 16; };
  const Decoded decoded = Decode(format, input, whole);
  const Decoded again = Decode(format, input, pieces);
  KVD_CHECK(Same(decoded.records, again.records));
  KVD_CHECK(decoded.error.empty() == again.error.empty());

  const std::unique_ptr<RecordEncoder> encoder = MakeEncoder(format, {});
  std::string text;
  encoder->Begin(&text);
  for (const Record& record : decoded.records) encoder->Append(record, &text);
  const auto all = [&] { return text.size(); };
  const Decoded written = Decode(format, text, all);
  KVD_CHECK(written.error.empty());
  KVD_CHECK(Same(decoded.records, written.records));
}

}  // namespace
}  // namespace kvctl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr kvctl::DumpFormat kFormats[] = {kvctl::DumpFormat::kJson,
                                            kvctl::DumpFormat::kCsv,
                                            kvctl::DumpFormat::kResp};
  kvctl::Check(kFormats[data[0] % 3], data[1],
               {reinterpret_cast<const char*>(data) + 2, size - 2});
  return 0;
}
