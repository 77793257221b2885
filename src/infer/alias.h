/* The names that the protocol's clients and servers have for public models (protocol 1.3): "yolov8n-640" is coco/3. */
#pragma once
#include "base/mem.h"
#include "base/str.h"

/* The model id that the name stands for, in the arena; the name itself when it stands for none. Any thread. */
struct str alias_resolve(struct str name, struct arena *a);
