// SPDX-License-Identifier: MIT
//
// A segment of any bytes is read without harm, and what is read is consistent.
// So that a mutation gets past the checksums, those of headers and records are
// made right first where the bytes look like one, unless the input's first byte
// says otherwise.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "log/read/segment_reader.h"

namespace {

using kvd::Checksum;
using kvd::Group;
using kvd::LoadLe;
using kvd::SegmentReader;
using kvd::StoreLe;

constexpr kvd::SegmentIdentity kIdentity = {
    {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb,
     0xcc, 0xdd, 0xee, 0xff},
    12,
    7,
    kvd::SegmentKind::kLog};

void SignRecords(std::string* bytes, size_t at, size_t end, uint64_t seed) {
  while (end - at >= kvd::kRecordHeaderBytes) {
    const uint64_t size =
        kvd::RecordBytes(LoadLe<uint16_t>(bytes->data() + at + 28),
                         LoadLe<uint32_t>(bytes->data() + at + 24));
    if (size > end - at) return;
    StoreLe<uint64_t>(bytes->data() + at,
                      Checksum({bytes->data() + at + 8, size - 8}, seed));
    at += size;
  }
}

// Of a head or an end.
void SignBody(std::string* bytes, size_t at, size_t end, uint64_t seed) {
  if (end - at < 8) return;
  StoreLe<uint64_t>(bytes->data() + at,
                    Checksum({bytes->data() + at + 8, end - at - 8}, seed));
}

void SignGroups(std::string* bytes, uint64_t seed) {
  constexpr size_t kHeader = kvd::kGroupHeaderBytes;
  for (size_t at = kvd::kSegmentHeaderBytes; at + kHeader <= bytes->size();
       at += kvd::kGroupAlignment) {
    if (bytes->compare(at, 4, "KVDG") != 0) continue;
    const uint64_t body = LoadLe<uint64_t>(bytes->data() + at + 40);
    const size_t room = bytes->size() - at - kHeader;
    const size_t end = at + kHeader + std::min<uint64_t>(body, room);
    if (LoadLe<uint32_t>(bytes->data() + at + 48) == 0) {
      SignRecords(bytes, at + kHeader, end, seed);
    } else {
      SignBody(bytes, at + kHeader, end, seed);
    }
    StoreLe<uint64_t>(bytes->data() + at + 56,
                      Checksum({bytes->data() + at, 56}, seed));
  }
}

void CheckGroup(const Group& group, uint64_t before, uint64_t after,
                const std::string& bytes) {
  KVD_CHECK(group.header.offset == before);
  KVD_CHECK(after >= before + kvd::kGroupHeaderBytes);
  KVD_CHECK(after % kvd::kGroupAlignment == 0);
  KVD_CHECK(group.records.size() == group.header.records);
  KVD_CHECK(group.offsets.size() == group.records.size());
  for (size_t i = 0; i < group.records.size(); ++i) {
    const kvd::Record& record = group.records[i];
    KVD_CHECK(record.seq == group.header.first_seq + i);
    KVD_CHECK(record.database < kvd::kInternalDatabases);
    // Views lie inside the segment, where the offset says.
    const char* key_at =
        bytes.data() + group.offsets[i] + kvd::kRecordHeaderBytes;
    KVD_CHECK(record.key.data() == key_at);
    KVD_CHECK(record.value.data() == key_at + record.key.size());
    KVD_CHECK(record.value.data() + record.value.size() <=
              bytes.data() + bytes.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] != 0) SignGroups(&bytes, kIdentity.Seed());

  kvd::SegmentHeader header;
  (void)kvd::DecodeSegmentHeader(bytes, &header);

  SegmentReader reader(bytes, kIdentity);
  Group group;
  while (true) {
    const uint64_t before = reader.offset();
    const kvd::Found found = reader.Next(&group);
    if (found == kvd::Found::kGroup) {
      CheckGroup(group, before, reader.offset(), bytes);
      continue;
    }
    KVD_CHECK(reader.offset() == before);
    KVD_CHECK((found == kvd::Found::kNothing) ==
              (reader.LastWrittenByte() == before));
    // Behind damage the reading goes on at the next header, if there is one.
    const auto next = reader.FindHeader(before + kvd::kGroupAlignment);
    if (!next) return 0;
    KVD_CHECK(next->offset > before);
    reader.Seek(next->offset);
  }
}
