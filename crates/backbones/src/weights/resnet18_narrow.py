def resnet18_narrow(num_classes=1000):
    from torch.nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

    def stage(before, width, stride):
        block = torchvision.models.resnet.BasicBlock
        shortcut = Sequential(Conv2d(before, width, 1, stride, bias=False), BatchNorm2d(width))
        return Sequential(block(before, width, stride, shortcut if before != width else None), block(width, width))

    net = Sequential()
    net.conv1, net.bn1 = Conv2d(3, 16, 7, 2, 3, bias=False), BatchNorm2d(16)
    net.relu, net.maxpool = ReLU(), MaxPool2d(3, 2, 1)
    net.layer1, net.layer2, net.layer3, net.layer4 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2), stage(64, 128, 2)
    net.avgpool, net.flatten, net.fc = AdaptiveAvgPool2d(1), Flatten(), Linear(128, num_classes)
    return net
