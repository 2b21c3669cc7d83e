// SPDX-License-Identifier: MIT
#include "log/piece_cutter.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "log/segment.h"

namespace kvd {

void LogPiece::Grow(size_t capacity, size_t kept) {
  if (capacity <= capacity_) return;
  auto memory = std::make_unique_for_overwrite<char[]>(capacity);
  if (kept != 0) std::memcpy(memory.get(), memory_.get(), kept);
  memory_ = std::move(memory);
  capacity_ = capacity;
}

void LogPiece::Verify() {
  group_.records.clear();
  group_.offsets.clear();
  totals_ = {};
  if (!intact_) return;
  SegmentReader reader(bytes(), identity_, base_);
  const uint64_t end = base_ + size_;
  while (intact_ && reader.offset() < end) {
    intact_ = reader.Append(&group_) == Found::kGroup;
  }
  for (const Record& record : group_.records) totals_.Add(record);
}

void SegmentTotals::Add(const Record& record) {
  Add({.records = 1, .first_seq = record.seq, .last_seq = record.seq});
}

void SegmentTotals::Add(const SegmentTotals& part) {
  if (part.records == 0) return;
  first_seq =
      records == 0 ? part.first_seq : std::min(first_seq, part.first_seq);
  last_seq = std::max(last_seq, part.last_seq);
  records += part.records;
}

bool SegmentTotals::AreThoseOf(const SealedSegment& segment) const {
  return records == segment.records && first_seq == segment.first_seq &&
         last_seq == segment.last_seq;
}

bool PieceCutter::Next(LogPiece* piece) {
  if (broken_ || (next_segment_ == manifest_.sealed.size() && !file_)) {
    return false;
  }
  piece->number_ = next_number_++;
  piece->size_ = 0;
  piece->ends_segment_ = false;
  piece->ends_log_ = false;
  piece->error_.reset();
  piece->intact_ = Fill(piece);
  broken_ = !piece->intact_;
  return true;
}

bool PieceCutter::Fill(LogPiece* piece) {
  // What one large group needed is not kept.
  if (piece->capacity_ > 2 * kPieceBytes) {
    piece->memory_.reset();
    piece->capacity_ = 0;
  }
  if (!file_ && !OpenSegment(piece)) return false;
  const SealedSegment& segment = manifest_.sealed[next_segment_ - 1];
  piece->segment_ = next_segment_ - 1;
  piece->identity_ = identity_;
  piece->base_ = offset_;
  const uint64_t left = segment.bytes - offset_;
  if (!ReadUpTo(std::min<uint64_t>(left, kPieceBytes), piece)) return false;
  std::optional<size_t> whole = Cut(*piece);
  if (!whole) return false;
  if (*whole > piece->size_) {
    // One group that is larger than a piece.
    if (*whole > left || !ReadUpTo(*whole, piece)) return false;
    whole = Cut(*piece);
    if (!whole) return false;
  }
  rest_.assign(piece->bytes().substr(*whole));
  piece->size_ = *whole;
  checksum_->Update(piece->bytes());
  offset_ += *whole;
  if (offset_ < segment.bytes) return true;

  file_.reset();
  piece->ends_segment_ = true;
  piece->ends_log_ = next_segment_ == manifest_.sealed.size();
  return checksum_->Digest() == segment.checksum;
}

bool PieceCutter::OpenSegment(LogPiece* piece) {
  piece->segment_ = next_segment_;
  const SealedSegment& segment = manifest_.sealed[next_segment_++];
  Result<std::unique_ptr<File>> file =
      directory_.Open(SegmentName(segment.id), Directory::OpenMode::kRead);
  if (!file) {
    piece->error_ = std::move(file).error();
    return false;
  }
  file_ = std::move(*file);
  identity_ = manifest_.IdentityOf(segment);
  seed_ = identity_.Seed();
  offset_ = 0;
  last_seq_ = 0;
  checksum_.emplace(0);
  rest_.clear();
  return segment.bytes >= kSegmentHeaderBytes;
}

// Makes the piece `size` bytes long: what is left over from the one before
// first, the rest from the file.
bool PieceCutter::ReadUpTo(size_t size, LogPiece* piece) {
  piece->Grow(size, piece->size_);
  char* to = piece->memory_.get();
  if (piece->size_ == 0) {
    std::memcpy(to, rest_.data(), rest_.size());
    piece->size_ = rest_.size();
    rest_.clear();
  }
  if (piece->size_ >= size) return true;
  const Result<size_t> got = file_->ReadAt(
      offset_ + piece->size_, {to + piece->size_, size - piece->size_});
  if (!got) {
    piece->error_ = got.error();
    return false;
  }
  piece->size_ += *got;
  return piece->size_ == size;
}

// How many bytes the whole groups take with which the piece begins; when there
// is not even one, how many the first one will take. Nothing if what stands
// there does not continue the log.
std::optional<size_t> PieceCutter::Cut(const LogPiece& piece) {
  const std::string_view bytes = piece.bytes();
  uint64_t at = offset_;
  if (at == 0) {
    SegmentHeader header;
    if (DecodeSegmentHeader(bytes, &header) != HeaderOutcome::kHeader ||
        header.identity != identity_) {
      return std::nullopt;
    }
    at = kSegmentHeaderBytes;
  }
  const uint64_t end = offset_ + bytes.size();
  while (at < end) {
    const auto header = DecodeGroupHeader(bytes, at, seed_, offset_);
    if (!header) {
      // Cut off, or none at all; the next piece begins with it and will tell.
      if (at == offset_ || end - at >= kGroupHeaderBytes) return std::nullopt;
      break;
    }
    if (header->End() > end) {
      if (at == offset_) return header->End() - offset_;
      break;
    }
    if (identity_.kind == SegmentKind::kLog) {
      if (last_seq_ != 0 && header->first_seq != last_seq_ + 1) {
        return std::nullopt;
      }
      if (header->records != 0) {
        last_seq_ = header->first_seq + header->records - 1;
      }
    }
    at = header->End();
  }
  return at - offset_;
}

}  // namespace kvd
