// Cross-entropy with label smoothing, and its gradient.
#pragma once
#include <cmath>

#include "lanes.h"

constexpr int CLASSES = 10;

struct Loss {
    double sum = 0;
    int correct = 0;  // images whose largest logit is that of their label
};

// The loss of the first images lanes. If grad is not null, it gets the gradient of the mean loss over batch_size images.
inline Loss cross_entropy(const Vec* logits, const int64_t* labels, int images, float smoothing, int batch_size, Vec* grad) {
    Loss loss;
    double powers[CLASSES];
    for (int lane = 0; lane < images; lane++) {
        const int label = (int)labels[lane];
        float top = logits[0][lane];
        int predicted = 0;
        for (int k = 1; k < CLASSES; k++)
            if (logits[k][lane] > top) top = logits[k][lane], predicted = k;
        double total = 0, mean = 0;
        for (int k = 0; k < CLASSES; k++) {
            total += powers[k] = std::exp((double)(logits[k][lane] - top));
            mean += (logits[k][lane] - top) / (double)CLASSES;
        }
        loss.sum += std::log(total) - (1 - smoothing) * (logits[label][lane] - top) - smoothing * mean;
        loss.correct += predicted == label;
        for (int k = 0; grad && k < CLASSES; k++)
            grad[k][lane] =
                (float)((powers[k] / total - (k == label ? 1 - smoothing : 0) - smoothing / CLASSES) / batch_size);
    }
    return loss;
}
