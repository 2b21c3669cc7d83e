// SPDX-License-Identifier: MIT
//
// What a program in C or C++ does with hiredis, blocking and on an event loop:
// hiredis SOCKET. test_hiredis.py compiles and runs it.
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <poll.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr int kPipelined = 1000;
constexpr int kWaitMs = 60'000;

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "wrong: %s\n", what);
  std::exit(1);
}

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
using Context = std::unique_ptr<redisContext, FreeContext>;

template <typename... Words>
Reply Call(redisContext* context, const char* format, Words... words) {
  Reply reply(
      static_cast<redisReply*>(redisCommand(context, format, words...)));
  Check(reply != nullptr, format);
  return reply;
}

bool IsText(const redisReply& reply, std::string_view text) {
  return (reply.type == REDIS_REPLY_STRING ||
          reply.type == REDIS_REPLY_STATUS) &&
         std::string_view(reply.str, reply.len) == text;
}

void StoreAndRead(redisContext* context) {
  const std::string bytes("\0\r\n\xff", 4);
  Check(IsText(*Call(context, "SET %s %b EX %d", "bytes", bytes.data(),
                     bytes.size(), 3600),
               "OK"),
        "SET");
  Check(IsText(*Call(context, "GET bytes"), bytes), "GET");
  Check(Call(context, "TTL bytes")->integer > 3000, "TTL");
  Check(Call(context, "GET none")->type == REDIS_REPLY_NIL, "GET of nothing");
  Check(Call(context, "INCRBY visits 3")->integer == 3, "INCRBY");

  const Reply several = Call(context, "MGET visits none");
  Check(several->type == REDIS_REPLY_ARRAY && several->elements == 2 &&
            IsText(*several->element[0], "3") &&
            several->element[1]->type == REDIS_REPLY_NIL,
        "MGET");
  const Reply refused = Call(context, "LPUSH list x");
  Check(refused->type == REDIS_REPLY_ERROR && context->err == 0,
        "another type is refused, and the connection stays");
  const Reply reply =
      Call(context, "EVAL %s 1 visits", "return redis.call('INCR', KEYS[1])");
  Check(reply->integer == 4, "EVAL");
}

void ALargeValue(redisContext* context) {
  const std::string value(5'000'000, 'v');
  Call(context, "SET large %b", value.data(), value.size());
  Check(IsText(*Call(context, "GET large"), value), "a large value");
}

void Pipeline(redisContext* context) {
  for (int i = 0; i < kPipelined; ++i) {
    redisAppendCommand(context, "SET key:%d %d", i, i);
  }
  for (int i = 0; i < kPipelined; ++i) {
    void* reply = nullptr;
    Check(redisGetReply(context, &reply) == REDIS_OK, "a pipeline");
    Check(IsText(*Reply(static_cast<redisReply*>(reply)), "OK"), "its reply");
  }
}

void Transaction(redisContext* context) {
  Call(context, "WATCH visits");
  Call(context, "MULTI");
  Check(IsText(*Call(context, "INCR visits"), "QUEUED"), "QUEUED");
  Check(IsText(*Call(context, "GET visits"), "QUEUED"), "QUEUED");
  const Reply results = Call(context, "EXEC");
  Check(results->elements == 2 && results->element[0]->integer == 5, "EXEC");
}

int answered = 0;

void OnReply(redisAsyncContext* context, void* reply, void* /*data*/) {
  Check(reply != nullptr, "an asynchronous reply");
  if (++answered == kPipelined) redisAsyncDisconnect(context);
}

// What a loop has to do for hiredis, in its plainest form.
struct Loop {
  int fd;
  short wanted;
  bool ended;
};

void Asynchronous(const char* path) {
  redisAsyncContext* context = redisAsyncConnectUnix(path);
  Check(context != nullptr && context->err == 0, "connect");
  static Loop loop;
  loop = {context->c.fd, 0, false};
  context->ev.data = &loop;
  context->ev.addRead = [](void*) { loop.wanted |= POLLIN; };
  context->ev.delRead = [](void*) { loop.wanted &= ~POLLIN; };
  context->ev.addWrite = [](void*) { loop.wanted |= POLLOUT; };
  context->ev.delWrite = [](void*) { loop.wanted &= ~POLLOUT; };
  context->ev.cleanup = [](void*) { loop.ended = true; };
  for (int i = 0; i < kPipelined; ++i) {
    redisAsyncCommand(context, OnReply, nullptr, "INCR async");
  }
  while (!loop.ended) {
    pollfd waiting{loop.fd, loop.wanted, 0};
    Check(poll(&waiting, 1, kWaitMs) == 1, "poll");
    if ((waiting.revents & POLLOUT) != 0) redisAsyncHandleWrite(context);
    if (!loop.ended && (waiting.revents & ~POLLOUT) != 0) {
      redisAsyncHandleRead(context);
    }
  }
  Check(answered == kPipelined, "all are answered");
}

}  // namespace

int main(int count, char** words) {
  Check(count == 2, "usage: hiredis SOCKET");
  std::signal(SIGPIPE, SIG_IGN);  // hiredis writes to dead connections.
  const Context context(redisConnectUnix(words[1]));
  Check(context != nullptr && context->err == 0, "connect");
  StoreAndRead(context.get());
  ALargeValue(context.get());
  Pipeline(context.get());
  Transaction(context.get());
  Asynchronous(words[1]);
  Check(IsText(*Call(context.get(), "GET async"), "1000"), "GET async");

  // The test kills kvd and starts it again before it answers.
  std::puts("restart");
  std::fflush(stdout);
  std::getchar();
  Check(
      redisCommand(context.get(), "GET visits") == nullptr && context->err != 0,
      "a dead connection says so");
  Check(redisReconnect(context.get()) == REDIS_OK, "reconnect");
  Check(IsText(*Call(context.get(), "GET visits"), "5"), "what was answered");
  std::puts("ok");
  return 0;
}
