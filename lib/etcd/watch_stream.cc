// SPDX-License-Identifier: MIT
#include "etcd/watch_stream.h"

#include <algorithm>
#include <utility>

#include "etcd/errors.h"
#include "etcd/wire.h"

namespace kvd::etcd {
namespace {

// How often the stream's health is looked at, and, without one, whether an
// endpoint is there for it.
constexpr int64_t kLookMs = 200;
constexpr int64_t kLookForEndpointMs = 20;
// After so much silence etcd is asked whether it is there.
constexpr int64_t kQuietMs = 500;
// How long etcd gets to bring a new watch up to date. Asked before that, 3.4.25
// to 3.4.29 and their like in 3.5 answer only after the next event, if at all.
constexpr int64_t kSettleMs = 500;
// After so much the endpoint is given up on. Twice that the next time, since
// etcd may be busy reading its history for this very watch.
constexpr int64_t kSilenceMs = 2000;
constexpr int64_t kSilenceMaxMs = 16'000;
// So many answers in a row that are behind what others have shown, and do not
// move: the member is cut off from the cluster.
constexpr int kBehindMax = 3;
// Between two attempts to open a stream.
constexpr int64_t kReopenMs = 100;
// Of an event besides its bytes.
constexpr size_t kEventOverheadBytes = sizeof(Event) + 32;

bool IsOver(const Verdict& verdict) {
  return !verdict.ask_again && verdict.code != ErrorCode::kResources;
}

}  // namespace

size_t BytesOf(const Event& event) {
  return kEventOverheadBytes + event.kv.key.size() + event.kv.value.size();
}

WatchStream::WatchStream(EventThread& thread, Connections& connections,
                         Watched watched, Sink sink)
    : thread_(thread),
      connections_(connections),
      watched_(std::move(watched)),
      sink_(std::move(sink)),
      groups_(watched_.from_revision),
      silence_max_ms_(kSilenceMs) {
  Look();
}

WatchStream::~WatchStream() {
  thread_.Cancel(timer_);
  if (stream_ != nullptr) stream_->Abandon();
}

void WatchStream::RequestProgress() {
  progress_wanted_ = true;
  if (MayAsk(thread_.NowMs())) AskProgress();
}

void WatchStream::Taken(size_t bytes) {
  untaken_bytes_ -= bytes;
  if (reading_ || untaken_bytes_ >= kUntakenBytesMax) return;
  reading_ = true;
  health_.heard_ms = thread_.NowMs();
  if (stream_ != nullptr) stream_->Read();
}

void WatchStream::Look() {
  const int64_t now = thread_.NowMs();
  if (stream_ == nullptr && now >= open_not_before_ms_) Open();
  if (stream_ != nullptr) LookAtHealth(now);
  timer_ = thread_.After(stream_ != nullptr ? kLookMs : kLookForEndpointMs,
                         [this] { Look(); });
}

void WatchStream::LookAtHealth(int64_t now) {
  // What is not read says nothing.
  if (!reading_) return;
  const int64_t quiet_ms = now - health_.heard_ms;
  if (quiet_ms >= silence_max_ms_) {
    silence_max_ms_ = std::min(2 * silence_max_ms_, kSilenceMaxMs);
    return GoElsewhere("it does not answer");
  }
  if ((progress_wanted_ || quiet_ms >= kQuietMs) && MayAsk(now)) AskProgress();
}

bool WatchStream::MayAsk(int64_t now) const {
  return stream_ != nullptr && health_.created && !health_.asked &&
         now - health_.created_ms >= kSettleMs;
}

void WatchStream::Open() {
  const std::optional<size_t> at = connections_.Choose();
  if (!at) return;
  at_ = *at;
  health_ = {.heard_ms = thread_.NowMs()};
  groups_.Restart();
  wire::WatchRequest request;
  wire::WatchCreateRequest* create = request.mutable_create();
  create->set_key(watched_.key);
  create->set_range_end(watched_.range_end);
  // From what was told, or the one before, which is left out: a watch that
  // begins at the revision that etcd has compacted to is not refused, but
  // misses what that removed (before 3.4.34 and 3.5.16). 0 would be "now".
  create->set_start_revision(std::max<int64_t>(groups_.begin(), 1));
  create->set_progress_notify(true);
  create->set_fragment(true);
  reading_ = true;
  stream_ = Stream::Open(thread_, connections_.channel(at_), std::move(request),
                         this);
}

void WatchStream::GoElsewhere(std::string why) {
  connections_.Blame(at_);
  connections_.SetTrouble(at_, std::move(why));
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->Abandon();
  // Not at once: there the answer may be the same.
  open_not_before_ms_ = thread_.NowMs() + kReopenMs;
}

void WatchStream::AskProgress() {
  health_.asked = true;
  health_.asked_after = connections_.revision();
  wire::WatchRequest request;
  request.mutable_progress();
  stream_->Write(std::move(request));
}

void WatchStream::TakeMessage(wire::WatchResponse* message) {
  health_.heard_ms = thread_.NowMs();
  silence_max_ms_ = kSilenceMs;
  if (!connections_.Accept(at_, message->header())) {
    return GoElsewhere(connections_.trouble(at_));
  }
  if (message->canceled()) {
    if (!TakeCancel(*message)) GoElsewhere(message->cancel_reason());
    return;
  }
  connections_.Praise(at_);
  if (message->created()) {
    health_.created = true;
    health_.created_ms = health_.heard_ms;
  } else if (message->events_size() > 0) {
    if (!TakeEvents(message)) return EndAsOther();
  } else if (!TakeProgress(*message)) {
    return EndAsOther();
  } else if (health_.behind >= kBehindMax) {
    return GoElsewhere("it is cut off from the other members");
  }
  ReadOn();
}

bool WatchStream::TakeCancel(const wire::WatchResponse& message) {
  if (message.compact_revision() > 0) {
    End(Error(ErrorCode::kCompacted,
              fmt::format("etcd has compacted its history up to revision {}, "
                          "and the watch has come to {} only",
                          message.compact_revision(), groups_.next() - 1)));
    return true;
  }
  const grpc::Status status(grpc::StatusCode::UNKNOWN, message.cancel_reason());
  const Verdict verdict = Judge(status, false);
  // etcd gives no code here; permission is the one thing that it refuses.
  const bool refused = message.created() || IsOver(verdict);
  if (!refused) return false;
  End(Error(verdict.code == ErrorCode::kCompacted ? ErrorCode::kCompacted
                                                  : ErrorCode::kInvalid,
            fmt::format("etcd at {} refuses the watch: {}",
                        connections_.endpoint(at_).name,
                        Explain(connections_.endpoint(at_), status))));
  return true;
}

bool WatchStream::TakeEvents(wire::WatchResponse* message) {
  const bool more = message->fragment();
  std::optional<std::vector<WatchUpdate>> whole =
      groups_.Add(EventsFromWire(message), more);
  if (!whole) return false;
  if (whole->empty()) return true;
  for (const WatchUpdate& update : *whole) {
    for (const Event& event : update.events) untaken_bytes_ += BytesOf(event);
  }
  sink_.on_updates(*std::move(whole));
  return true;
}

bool WatchStream::TakeProgress(const wire::WatchResponse& message) {
  // What etcd says by itself comes in order with the events; what it says when
  // asked does not, and bears no watch's number.
  const int64_t revision = message.header().revision();
  const bool asked = message.watch_id() < 0;
  if (!asked && !groups_.AdvanceTo(revision)) return false;
  if (!asked || progress_wanted_) {
    WatchUpdate update;
    update.revision = groups_.next() - 1;
    sink_.on_updates({std::move(update)});
    progress_wanted_ = false;
  }
  if (!asked) return true;
  health_.asked = false;
  const bool moves = revision != health_.revision;
  health_.revision = revision;
  health_.behind =
      revision < health_.asked_after && !moves ? health_.behind + 1 : 0;
  return true;
}

void WatchStream::ReadOn() {
  reading_ = untaken_bytes_ < kUntakenBytesMax;
  if (reading_) stream_->Read();
}

void WatchStream::TakeEnd(const grpc::Status& status) {
  stream_ = nullptr;
  if (status.ok() || !IsOver(Judge(status, false))) {
    connections_.Blame(at_);
    connections_.SetTrouble(at_, Explain(connections_.endpoint(at_), status));
    // Not at once again: it may be refused again at once.
    open_not_before_ms_ = thread_.NowMs() + kReopenMs;
    return;
  }
  End(Error(Judge(status, false).code,
            fmt::format("etcd at {} refuses the watch: {}",
                        connections_.endpoint(at_).name,
                        Explain(connections_.endpoint(at_), status))));
}

void WatchStream::EndAsOther() {
  End(Error(ErrorCode::kCompacted,
            fmt::format("etcd had other changes from revision {} on before: it "
                        "was made anew, as from a backup, or has just "
                        "compacted them",
                        groups_.newest_told())));
}

void WatchStream::End(Error error) {
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->Abandon();
  thread_.Cancel(timer_);
  // A copy: the call may destroy this.
  const std::function<void(Error)> on_end = sink_.on_end;
  on_end(std::move(error));
}

}  // namespace kvd::etcd
