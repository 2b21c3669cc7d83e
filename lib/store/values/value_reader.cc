// SPDX-License-Identifier: MIT
#include "store/values/value_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/format/advice.h"
#include "log/format/record.h"
#include "log/format/segment.h"

namespace kvd {
namespace {

uint64_t BytesOf(const ColdValue& value) {
  return RecordBytes(value.key.size(), value.value_size);
}

std::string WhereIs(const Directory& directory, const ColdValue& value) {
  return fmt::format("{}/{} at offset {}", directory.path(),
                     SegmentName(value.place.segment), value.place.offset);
}

// Whether these bytes are the record of that change. kCorruption if not.
Result<std::string> Verified(const Directory& directory, const ColdValue& of,
                             std::string bytes, uint64_t seed) {
  if (bytes.size() < BytesOf(of)) {
    return Fail(ErrorCode::kCorruption, "{}: the file ends within the record",
                WhereIs(directory, of));
  }
  const std::optional<Record> record = DecodeRecord(bytes, seed);
  if (!record || record->kind != RecordKind::kPut || record->seq != of.seq ||
      record->database != of.database || record->key != of.key ||
      record->value.size() != of.value_size) {
    return Fail(ErrorCode::kCorruption,
                "{}: the record of revision {} is damaged",
                WhereIs(directory, of), of.seq);
  }
  return bytes;
}

}  // namespace

void ColdValues::Abandon() {
  if (reader_ != nullptr) reader_->Cancel(this);
  Clear();
}

ValueReader::ValueReader(ValueReaderOptions options, Directory& directory,
                         const LogWriter& log, const Databases& databases,
                         DamagedSegments& damaged, Executor& pool, Wake wake)
    : options_(std::move(options)),
      directory_(directory),
      log_(log),
      databases_(databases),
      damaged_(damaged),
      pool_(pool),
      wake_(std::move(wake)),
      queue_(directory.NewReadQueue(kReadsInFlightMax, wake_)) {}

ValueReader::~ValueReader() {
  // Jobs hold references to the mailbox. They may finish in any order.
  for (; jobs_ > 0; --jobs_) results_.Wait();
  for (const auto& [number, request] : requests_) {
    request.values->reader_ = nullptr;
  }
}

ValueReader::Segment& ValueReader::SegmentOf(uint32_t id) {
  const auto [found, is_new] = segments_.try_emplace(id);
  Segment& segment = found->second;
  if (is_new) segment.seed = IdentityOf(id).Seed();
  segment.used = ++uses_;
  return segment;
}

SegmentIdentity ValueReader::IdentityOf(uint32_t id) const {
  const Manifest& manifest = log_.manifest();
  for (const auto* segments : {&manifest.sealed, &leaving_}) {
    for (const SealedSegment& sealed : *segments) {
      if (sealed.id == id) return manifest.IdentityOf(sealed);
    }
  }
  return manifest.IdentityOfLive(id);
}

void ValueReader::CloseUnused() {
  while (segments_.size() > options_.files_max) {
    const auto least = std::min_element(
        segments_.begin(), segments_.end(), [](const auto& a, const auto& b) {
          return std::pair(a.second.reads > 0, a.second.used) <
                 std::pair(b.second.reads > 0, b.second.used);
        });
    if (least->second.reads > 0) return;
    segments_.erase(least);
  }
}

bool ValueReader::IsReading(uint32_t segment) const {
  const auto found = segments_.find(segment);
  return found != segments_.end() && found->second.reads > 0;
}

void ValueReader::Close(uint32_t segment) {
  // A check names its condition in the binary, where a planted bug has no
  // place.
  const bool planted = IsPlanted(PlantedBug::kRetireUnderRead);
  KVD_CHECK(!IsReading(segment) || planted);
  if (!IsReading(segment)) segments_.erase(segment);
}

std::optional<Result<std::string>> ValueReader::TryRead(
    const ColdValue& wanted) {
  const uint64_t size = BytesOf(wanted);
  if (size > kReadAtOnceBytesMax) return std::nullopt;
  const auto found = segments_.find(wanted.place.segment);
  if (found == segments_.end() || !found->second.file) return std::nullopt;
  Segment& segment = found->second;
  segment.used = ++uses_;
  std::string bytes(size, '\0');
  const Result<bool> read = segment.file->TryReadAt(wanted.place.offset, bytes);
  // What is wrong with it is found out by a read that may wait.
  if (!read || !*read) return std::nullopt;
  Result<std::string> record =
      Verified(directory_, wanted, std::move(bytes), segment.seed);
  if (!record) NoteDamage(wanted, record.error());
  ++reads_at_once_;
  return record;
}

void ValueReader::Read(ColdValues* values, std::function<void()> on_read) {
  KVD_CHECK(values->reader_ == nullptr && values->wanted());
  values->reader_ = this;
  values->request_ = ++last_request_;
  values->missing_ = values->wanted_.size();
  values->on_read_ = std::move(on_read);
  Request& request = requests_[values->request_];
  request.values = values;
  for (auto& [seq, wanted] : std::exchange(values->wanted_, {})) {
    request.queue.push_back(std::move(wanted));
  }
  turns_.push_back(values->request_);
  StartJobs();
}

void ValueReader::Cancel(ColdValues* values) {
  requests_.erase(values->request_);
  values->reader_ = nullptr;
}

void ValueReader::StartJobs() {
  while (!turns_.empty() && in_flight_ < kReadsInFlightMax) {
    const uint64_t number = turns_.front();
    const auto found = requests_.find(number);
    if (found == requests_.end()) {
      turns_.pop_front();
      continue;
    }
    std::deque<ColdValue>& queue = found->second.queue;
    const uint64_t bytes = BytesOf(queue.front());
    if (in_flight_ > 0 && bytes_in_flight_ + bytes > kReadBytesInFlightMax) {
      return;
    }
    ColdValue next = std::move(queue.front());
    queue.pop_front();
    turns_.pop_front();
    if (!queue.empty()) turns_.push_back(number);
    Start(number, std::move(next));
  }
}

void ValueReader::Start(uint64_t request, ColdValue of) {
  ++in_flight_;
  bytes_in_flight_ += BytesOf(of);
  const Keyspace& keyspace = databases_.Internal(of.database);
  const Entry* entry = keyspace.Find(of.hash, of.key);
  if (entry == nullptr || entry->seq() != of.seq) {
    // Compaction may have taken it away: not finding it would be no damage.
    ++jobs_;  // As one that the pool has finished.
    results_.Put({request, std::move(of), nullptr, std::nullopt});
    return wake_();
  }
  // It may have moved since it was asked for.
  of.place = entry->place();
  Segment& segment = SegmentOf(of.place.segment);
  ++segment.reads;
  ++reads_waited_;
  if (queue_ && segment.file && BytesOf(of) <= kReadAtOnceBytesMax) {
    Enqueue(request, std::move(of), *segment.file);
  } else {
    Post(request, std::move(of));
  }
}

void ValueReader::Enqueue(uint64_t request, ColdValue of, File& file) {
  const uint64_t id = ++last_queued_;
  const uint64_t offset = of.place.offset;
  std::string bytes(BytesOf(of), '\0');
  Queued& queued = queued_[id] = {request, std::move(of), std::move(bytes)};
  queue_->Add(file, offset, queued.bytes, id);
}

void ValueReader::Post(uint64_t request, ColdValue of) {
  ++jobs_;
  const Segment& segment = segments_.at(of.place.segment);
  pool_.Post([this, wake = wake_, request, of = std::move(of),
              file = segment.file.get(), seed = segment.seed]() {
    Done done{request, of, nullptr, std::nullopt};
    done.record = ReadRecord(file, seed, of, &done.opened);
    results_.Put(std::move(done));
    wake();
  });
}

// Thread: of the pool.
Result<std::string> ValueReader::ReadRecord(File* file, uint64_t seed,
                                            const ColdValue& of,
                                            std::unique_ptr<File>* opened) {
  if (file == nullptr) {
    KVD_TRY_ASSIGN(*opened, directory_.Open(SegmentName(of.place.segment),
                                            Directory::OpenMode::kReadHere));
    file = opened->get();
  }
  std::string bytes(BytesOf(of), '\0');
  KVD_TRY_ASSIGN(const size_t got, file->ReadAt(of.place.offset, bytes));
  bytes.resize(got);
  return Verified(directory_, of, std::move(bytes), seed);
}

void ValueReader::Pump() {
  if (queue_) queue_->Submit();
}

void ValueReader::Poll() {
  for (Done& done : results_.TakeAll()) {
    --jobs_;
    Take(std::move(done));
  }
  if (queue_) {
    for (const auto& completion : queue_->Poll()) TakeQueued(completion);
  }
  StartJobs();
}

void ValueReader::TakeQueued(const ReadQueue::Completion& completion) {
  Queued queued = std::move(queued_.extract(completion.id).mapped());
  if (!completion.filled) {
    return Post(queued.request, std::move(queued.of));
  }
  const uint64_t seed = segments_.at(queued.of.place.segment).seed;
  Done done{queued.request, std::move(queued.of), nullptr, std::nullopt};
  done.record = Verified(directory_, done.of, std::move(queued.bytes), seed);
  Take(std::move(done));
}

void ValueReader::Take(Done done) {
  --in_flight_;
  bytes_in_flight_ -= BytesOf(done.of);
  if (done.record) {
    Segment& segment = SegmentOf(done.of.place.segment);
    --segment.reads;
    // Two jobs may have opened it; the first one's is in use by now.
    if (!segment.file) segment.file = std::move(done.opened);
    CloseUnused();
    if (!*done.record) NoteDamage(done.of, done.record->error());
  }

  const auto found = requests_.find(done.request);
  if (found == requests_.end()) return;
  ColdValues& values = *found->second.values;
  if (done.record) {
    values.Add({std::move(done.of), std::move(*done.record)});
  } else {
    values.bytes_ -= done.of.value_size;
  }
  if (--values.missing_ > 0) return;
  values.reader_ = nullptr;
  requests_.erase(found);
  std::exchange(values.on_read_, nullptr)();
}

void ValueReader::NoteDamage(const ColdValue& of, const Error& error) {
  const bool known = damaged_.Contains(of.place.segment);
  const ReadFault fault = damaged_.Judge(of.place.segment, error);
  if (fault != ReadFault::kDamage) return;
  ++damaged_values_;
  // Once a segment: a client may ask again and again.
  if (known) return;
  options_.log(Severity::kError,
               "damage found by a read: " + error.message() +
                   "\n  The key answers an error, others are not affected.\n" +
                   DamageAdvice(directory_.path()));
}

}  // namespace kvd
