#include "clip.hpp"
